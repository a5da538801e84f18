package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"
	"unicode"

	"idlepush/registry/table"
)

// The keys of the tables and of their indexes. Each is written field by field, so that keys with
// the same first fields stand together.

// id is the id of a user, an account, a device, a token or an invite.
type id string

// newID returns an opaque id of 26 lower-case letters and digits.
func newID() string { return strings.ToLower(rand.Text()) }

func (k id) Append(data []byte) []byte { return table.AppendText(data, string(k)) }

func (id) Parse(data []byte) (id, error) {
	f := table.Split(data)
	return id(f.Text()), f.Err()
}

// deviceKey is a device of a user.
type deviceKey struct{ user, device id }

func (k deviceKey) Append(data []byte) []byte { return k.device.Append(k.user.Append(data)) }

func (deviceKey) Parse(data []byte) (deviceKey, error) {
	f := table.Split(data)
	return deviceKey{id(f.Text()), id(f.Text())}, f.Err()
}

// viewerKey is an account by a user who may see it.
type viewerKey struct{ user, account id }

func (k viewerKey) Append(data []byte) []byte { return k.account.Append(k.user.Append(data)) }

func (viewerKey) Parse(data []byte) (viewerKey, error) {
	f := table.Split(data)
	return viewerKey{id(f.Text()), id(f.Text())}, f.Err()
}

// digest is the SHA-256 of a secret, or of a text that may be long.
type digest [sha256.Size]byte

func digestOf(text string) digest { return sha256.Sum256([]byte(text)) }

func (k digest) Append(data []byte) []byte { return append(data, k[:]...) }

func (digest) Parse(data []byte) (digest, error) {
	f := table.Split(data)
	return digest(f.Fixed(sha256.Size)), f.Err()
}

// ownedKey is the digest of something that belongs to a user.
type ownedKey struct {
	owner  id
	digest digest
}

func (k ownedKey) Append(data []byte) []byte { return k.digest.Append(k.owner.Append(data)) }

func (ownedKey) Parse(data []byte) (ownedKey, error) {
	f := table.Split(data)
	return ownedKey{id(f.Text()), digest(f.Fixed(sha256.Size))}, f.Err()
}

// folded returns a name without regard to case, as strings.EqualFold compares.
func folded(name string) table.Text {
	return table.Text(strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name))
}

// folderKey is a folder of an account.
type folderKey struct {
	account id
	folder  string
}

func (k folderKey) Append(data []byte) []byte { return append(k.account.Append(data), k.folder...) }

func (folderKey) Parse(data []byte) (folderKey, error) {
	f := table.Split(data)
	return folderKey{id(f.Text()), f.Rest()}, f.Err()
}

// notificationKey is a notification by its account, or by its user if it concerns no account,
// ordered by sequence.
type notificationKey struct {
	scope id
	seq   uint64 // nanoseconds since 1970, and different for each notification
}

func (k notificationKey) Append(data []byte) []byte {
	return table.AppendUint64(k.scope.Append(data), k.seq)
}

func (notificationKey) Parse(data []byte) (notificationKey, error) {
	f := table.Split(data)
	return notificationKey{id(f.Text()), f.Uint64()}, f.Err()
}

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

// undecidedPrefix begins the keys of what push has not decided on in one folder of an account.
type undecidedPrefix struct {
	stageOfAccount
	folder digest
}

func (k undecidedPrefix) Append(data []byte) []byte {
	return k.folder.Append(k.stageOfAccount.Append(data))
}

// stageOfAccount begins the keys of one stage in an account.
type stageOfAccount struct {
	stage   oldStage
	account id
}

func (k stageOfAccount) Append(data []byte) []byte { return k.account.Append(k.stage.Append(data)) }

// undecidedKey is a notification that push has not decided on.
type undecidedKey struct {
	undecidedPrefix
	seq uint64
}

func (k undecidedKey) Append(data []byte) []byte {
	return table.AppendUint64(k.undecidedPrefix.Append(data), k.seq)
}

func (undecidedKey) Parse(data []byte) (undecidedKey, error) {
	f := table.Split(data)
	return undecidedKey{undecidedPrefix{stageOfAccount{oldStage(f.Text()), id(f.Text())}, digest(f.Fixed(sha256.Size))}, f.Uint64()}, f.Err()
}

// deliveryKey is a notification in the queue of a device, or its outcome there.
type deliveryKey struct {
	notification notificationKey
	device       id
}

func (k deliveryKey) Append(data []byte) []byte {
	return k.device.Append(deliveryPrefix(k.notification).Append(data))
}

func (deliveryKey) Parse(data []byte) (deliveryKey, error) {
	f := table.Split(data)
	seq := f.Uint64()
	return deliveryKey{notificationKey{id(f.Text()), seq}, id(f.Text())}, f.Err()
}

// deliveryPrefix begins the keys of a notification's deliveries. They are ordered by sequence,
// whatever the scope, so that new ones are together at the end.
type deliveryPrefix notificationKey

func (k deliveryPrefix) Append(data []byte) []byte {
	return k.scope.Append(table.AppendUint64(data, k.seq))
}

// subqueueKey is a subqueue of a device's queue; see queue.go.
type subqueueKey struct {
	device   id
	subqueue string
}

func (k subqueueKey) Append(data []byte) []byte {
	return table.AppendText(k.device.Append(data), k.subqueue)
}

// waitingKey is a pending delivery in its subqueue.
type waitingKey struct {
	subqueueKey
	seq uint64
}

func (k waitingKey) Append(data []byte) []byte {
	return table.AppendUint64(k.subqueueKey.Append(data), k.seq)
}

func (waitingKey) Parse(data []byte) (waitingKey, error) {
	f := table.Split(data)
	return waitingKey{subqueueKey{id(f.Text()), f.Text()}, f.Uint64()}, f.Err()
}

// dueKey is the due time of a device's queue.
type dueKey struct {
	dueGroup
	at     time.Time
	device id
}

func (k dueKey) Append(data []byte) []byte {
	return k.device.Append(duePrefix{k.dueGroup, k.at}.Append(data))
}

func (dueKey) Parse(data []byte) (dueKey, error) {
	f := table.Split(data)
	return dueKey{dueGroup{f.Text(), id(f.Text()), f.Fixed(1)[0] != 0}, f.Time(), id(f.Text())}, f.Err()
}

// dueGroup begins the keys of a user's queues in a lane. Those of slow devices are apart.
type dueGroup struct {
	lane string
	user id
	slow bool
}

func (k dueGroup) Append(data []byte) []byte {
	data = k.user.Append(lanePrefix(k.lane).Append(data))
	if k.slow {
		return append(data, 1)
	}
	return append(data, 0)
}

// memberKey is a device of a lane.
type memberKey struct {
	lane   string
	device id
}

func (k memberKey) Append(data []byte) []byte {
	return k.device.Append(lanePrefix(k.lane).Append(data))
}

func (memberKey) Parse(data []byte) (memberKey, error) {
	f := table.Split(data)
	return memberKey{f.Text(), id(f.Text())}, f.Err()
}

// lanePrefix begins the keys of the queues in a lane.
type lanePrefix string

func (k lanePrefix) Append(data []byte) []byte { return table.AppendText(data, string(k)) }

// duePrefix begins the keys of the queues of a group that are due at a time.
type duePrefix struct {
	group dueGroup
	at    time.Time
}

func (k duePrefix) Append(data []byte) []byte {
	return table.AppendTime(k.group.Append(data), k.at)
}
