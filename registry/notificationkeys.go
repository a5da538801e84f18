package registry

import (
	"crypto/sha256"

	"idlepush/registry/table"
)

// The marks of the keys that find a notification. Its indexes share one bucket. The mark follows
// the scope, so that the keys of a scope are in few pages.
const (
	stableMark      byte = 's'
	fingerprintMark byte = 'f'
	duplicateMark   byte = 'd'
	knownMark       byte = 'k'
	placeMark       byte = 'p'
)

// stableKey is a notification by its stable id.
type stableKey struct {
	scope  id
	stable string
}

func (k stableKey) Append(data []byte) []byte {
	return append(append(k.scope.Append(data), stableMark), k.stable...)
}

func (stableKey) Parse(data []byte) (stableKey, error) {
	f := table.Split(data)
	scope := id(f.Text())
	f.Mark(stableMark)
	return stableKey{scope, f.Rest()}, f.Err()
}

// fingerprintPrefix begins the keys of the mails of an account with one fingerprint, by its digest.
type fingerprintPrefix struct {
	account id
	digest  digest
}

func (k fingerprintPrefix) Append(data []byte) []byte {
	return k.digest.Append(append(k.account.Append(data), fingerprintMark))
}

// fingerprintKey is a mail by the digest of its fingerprint, which several may have.
type fingerprintKey struct {
	fingerprintPrefix
	seq uint64
}

func (k fingerprintKey) Append(data []byte) []byte {
	return table.AppendUint64(k.fingerprintPrefix.Append(data), k.seq)
}

func (fingerprintKey) Parse(data []byte) (fingerprintKey, error) {
	f := table.Split(data)
	account := id(f.Text())
	f.Mark(fingerprintMark)
	return fingerprintKey{fingerprintPrefix{account, digest(f.Fixed(sha256.Size))}, f.Uint64()}, f.Err()
}

// duplicatePrefix begins the keys of the duplicates of a mail, by the digest of its fingerprint.
type duplicatePrefix struct {
	account id
	digest  digest
}

func (k duplicatePrefix) Append(data []byte) []byte {
	return k.digest.Append(append(k.account.Append(data), duplicateMark))
}

// duplicateKey is a duplicate of a mail. A mail may have several.
type duplicateKey struct {
	duplicatePrefix
	seq uint64
}

func (k duplicateKey) Append(data []byte) []byte {
	return table.AppendUint64(k.duplicatePrefix.Append(data), k.seq)
}

func (duplicateKey) Parse(data []byte) (duplicateKey, error) {
	f := table.Split(data)
	account := id(f.Text())
	f.Mark(duplicateMark)
	return duplicateKey{duplicatePrefix{account, digest(f.Fixed(sha256.Size))}, f.Uint64()}, f.Err()
}

// knownPrefix begins the keys of equal mails of a folder that were there before its first look.
type knownPrefix struct {
	account id
	digest  digest // of the folder and the fingerprint
}

func (k knownPrefix) Append(data []byte) []byte {
	return k.digest.Append(append(k.account.Append(data), knownMark))
}

// knownDigest returns the digest of a knownPrefix.
func knownDigest(folder, fingerprint string) digest { return digestOf(folder + "\x00" + fingerprint) }

// knownPlace is one of the mails under a knownPrefix by its UID, both zero until the folder is
// renumbered.
type knownPlace struct {
	knownPrefix
	validity, uid uint32
}

func (k knownPlace) Append(data []byte) []byte {
	return table.AppendUint32(table.AppendUint32(k.knownPrefix.Append(data), k.validity), k.uid)
}

// knownKey is a mail that was there before the first look.
type knownKey struct {
	knownPlace
	seq uint64
}

func (k knownKey) Append(data []byte) []byte {
	return table.AppendUint64(k.knownPlace.Append(data), k.seq)
}

func (knownKey) Parse(data []byte) (knownKey, error) {
	f := table.Split(data)
	account := id(f.Text())
	f.Mark(knownMark)
	return knownKey{knownPlace{knownPrefix{account, digest(f.Fixed(sha256.Size))}, f.Uint32(), f.Uint32()}, f.Uint64()}, f.Err()
}

// folderPrefix is a folder of an account with one UIDVALIDITY. The folder is hashed, because its
// name may be long.
type folderPrefix struct {
	account  id
	folder   digest
	validity uint32
}

func (k folderPrefix) Append(data []byte) []byte {
	data = append(k.account.Append(data), placeMark)
	return table.AppendUint32(k.folder.Append(data), k.validity)
}

// placeKey is the folder and UID of a mail.
type placeKey struct {
	folderPrefix
	uid uint32
}

func (k placeKey) Append(data []byte) []byte {
	return table.AppendUint32(k.folderPrefix.Append(data), k.uid)
}

func (placeKey) Parse(data []byte) (placeKey, error) {
	f := table.Split(data)
	account := id(f.Text())
	f.Mark(placeMark)
	return placeKey{folderPrefix{account, digest(f.Fixed(sha256.Size)), f.Uint32()}, f.Uint32()}, f.Err()
}
