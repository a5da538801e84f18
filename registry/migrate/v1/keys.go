package v1

import (
	"crypto/sha256"
	"strings"
	"time"

	"idlepush/registry/table"
)

// ID is the id of a user, an account, a device, a token or an invite.
type ID string

func (k ID) Append(data []byte) []byte { return table.AppendText(data, string(k)) }

func (ID) Parse(data []byte) (ID, error) {
	f := table.Split(data)
	return ID(f.Text()), f.Err()
}

// IDs is a pair of ids: a user and a device, or a user and an account.
type IDs struct{ First, Second ID }

func (k IDs) Append(data []byte) []byte { return k.Second.Append(k.First.Append(data)) }

func (IDs) Parse(data []byte) (IDs, error) {
	f := table.Split(data)
	return IDs{ID(f.Text()), ID(f.Text())}, f.Err()
}

// senderKey is a sender of mail by the account that has it: a digest with the key of the store.
type senderKey struct {
	Account ID
	Sender  Digest
}

func (k senderKey) Append(data []byte) []byte { return k.Sender.Append(k.Account.Append(data)) }

func (senderKey) Parse(data []byte) (senderKey, error) {
	f := table.Split(data)
	return senderKey{ID(f.Text()), Digest(f.Fixed(sha256.Size))}, f.Err()
}

// Digest is a SHA-256.
type Digest [sha256.Size]byte

func digestOf(text string) Digest { return sha256.Sum256([]byte(text)) }

func (k Digest) Append(data []byte) []byte { return append(data, k[:]...) }

func (Digest) Parse(data []byte) (Digest, error) {
	f := table.Split(data)
	return Digest(f.Fixed(sha256.Size)), f.Err()
}

// Owned is the digest of something that belongs to a user, and was made by something.
type Owned struct {
	Owner, By ID
	Digest    Digest
}

func (k Owned) Append(data []byte) []byte { return k.Digest.Append(k.By.Append(k.Owner.Append(data))) }

func (Owned) Parse(data []byte) (Owned, error) {
	f := table.Split(data)
	return Owned{ID(f.Text()), ID(f.Text()), Digest(f.Fixed(sha256.Size))}, f.Err()
}

// mailbox returns the same digest for all accounts of one mailbox.
func mailbox(host, username string) Digest {
	return digestOf(strings.ToLower(strings.TrimSuffix(host, ".")) + "\x00" + username)
}

// FolderKey is a folder of an account.
type FolderKey struct {
	Account ID
	Folder  string
}

func (k FolderKey) Append(data []byte) []byte { return append(k.Account.Append(data), k.Folder...) }

func (FolderKey) Parse(data []byte) (FolderKey, error) {
	f := table.Split(data)
	return FolderKey{ID(f.Text()), f.Rest()}, f.Err()
}

// NotificationKey is a notification of an account or a user. Keys are in the order of creation.
type NotificationKey struct {
	Scope ID
	Seq   uint64 // nanoseconds since 1970, and different for each notification
}

func (k NotificationKey) Append(data []byte) []byte {
	return table.AppendUint64(k.Scope.Append(data), k.Seq)
}

func (NotificationKey) Parse(data []byte) (NotificationKey, error) {
	f := table.Split(data)
	return NotificationKey{ID(f.Text()), f.Uint64()}, f.Err()
}

// The marks of the keys that find a notification.
const (
	stableMark      byte = 's'
	fingerprintMark byte = 'f'
	duplicateMark   byte = 'd'
	knownMark       byte = 'k'
	placeMark       byte = 'p'
)

// StableKey is a notification by its stable id.
type StableKey struct {
	Scope  ID
	Stable string
}

func (k StableKey) Append(data []byte) []byte {
	return append(append(k.Scope.Append(data), stableMark), k.Stable...)
}

func (StableKey) Parse(data []byte) (StableKey, error) {
	f := table.Split(data)
	scope := ID(f.Text())
	f.Mark(stableMark)
	return StableKey{scope, f.Rest()}, f.Err()
}

// fingerprintKey is a mail by the digest of its fingerprint.
type fingerprintKey struct {
	Account ID
	Digest  Digest
	Seq     uint64
}

func (k fingerprintKey) Append(data []byte) []byte {
	return table.AppendUint64(k.Digest.Append(append(k.Account.Append(data), fingerprintMark)), k.Seq)
}

func (fingerprintKey) Parse(data []byte) (fingerprintKey, error) {
	f := table.Split(data)
	account := ID(f.Text())
	f.Mark(fingerprintMark)
	return fingerprintKey{account, Digest(f.Fixed(sha256.Size)), f.Uint64()}, f.Err()
}

// duplicateKey is a duplicate of a mail, by the digest of their fingerprint.
type duplicateKey struct {
	Account ID
	Digest  Digest
	Seq     uint64
}

func (k duplicateKey) Append(data []byte) []byte {
	return table.AppendUint64(k.Digest.Append(append(k.Account.Append(data), duplicateMark)), k.Seq)
}

func (duplicateKey) Parse(data []byte) (duplicateKey, error) {
	f := table.Split(data)
	account := ID(f.Text())
	f.Mark(duplicateMark)
	return duplicateKey{account, Digest(f.Fixed(sha256.Size)), f.Uint64()}, f.Err()
}

// knownKey is a mail from before the first look, by the digest of folder and fingerprint, and by
// its UIDVALIDITY and UID.
type knownKey struct {
	Account       ID
	Digest        Digest
	Validity, UID uint32
	Seq           uint64
}

func (k knownKey) Append(data []byte) []byte {
	data = k.Digest.Append(append(k.Account.Append(data), knownMark))
	return table.AppendUint64(table.AppendUint32(table.AppendUint32(data, k.Validity), k.UID), k.Seq)
}

func (knownKey) Parse(data []byte) (knownKey, error) {
	f := table.Split(data)
	account := ID(f.Text())
	f.Mark(knownMark)
	return knownKey{account, Digest(f.Fixed(sha256.Size)), f.Uint32(), f.Uint32(), f.Uint64()}, f.Err()
}

// PlaceKey is the place of a mail: its folder, UIDVALIDITY and UID.
type PlaceKey struct {
	Account  ID
	Folder   Digest
	Validity uint32
	UID      uint32
}

func (k PlaceKey) Append(data []byte) []byte {
	data = append(k.Account.Append(data), placeMark)
	data = table.AppendUint32(k.Folder.Append(data), k.Validity)
	return table.AppendUint32(data, k.UID)
}

func (PlaceKey) Parse(data []byte) (PlaceKey, error) {
	f := table.Split(data)
	account := ID(f.Text())
	f.Mark(placeMark)
	return PlaceKey{account, Digest(f.Fixed(sha256.Size)), f.Uint32(), f.Uint32()}, f.Err()
}

// undecidedKey is a notification of a folder's old mail at one stage.
type undecidedKey struct {
	Stage   string
	Account ID
	Folder  Digest
	Seq     uint64
}

func (k undecidedKey) Append(data []byte) []byte {
	return table.AppendUint64(k.Folder.Append(k.Account.Append(table.AppendText(data, k.Stage))), k.Seq)
}

func (undecidedKey) Parse(data []byte) (undecidedKey, error) {
	f := table.Split(data)
	return undecidedKey{f.Text(), ID(f.Text()), Digest(f.Fixed(sha256.Size)), f.Uint64()}, f.Err()
}

// DeliveryKey is the delivery of a notification to a device.
type DeliveryKey struct {
	Notification NotificationKey
	Device       ID
}

func (k DeliveryKey) Append(data []byte) []byte {
	return k.Device.Append(k.Notification.Scope.Append(table.AppendUint64(data, k.Notification.Seq)))
}

func (DeliveryKey) Parse(data []byte) (DeliveryKey, error) {
	f := table.Split(data)
	seq := f.Uint64()
	return DeliveryKey{NotificationKey{ID(f.Text()), seq}, ID(f.Text())}, f.Err()
}

// line returns the line of a device's queue in which a notification waits.
func line(kind string, scope ID) string {
	switch kind {
	case "mail", "summary":
		return string(scope)
	case "clear":
		return "clears"
	}
	return "others"
}

// waitingKey is a delivery that waits in a line.
type waitingKey struct {
	Device ID
	Line   string
	Seq    uint64
}

func (k waitingKey) Append(data []byte) []byte {
	return table.AppendUint64(table.AppendText(k.Device.Append(data), k.Line), k.Seq)
}

func (waitingKey) Parse(data []byte) (waitingKey, error) {
	f := table.Split(data)
	return waitingKey{ID(f.Text()), f.Text(), f.Uint64()}, f.Err()
}

// memberKey is a device of a lane. The proven ones are apart.
type memberKey struct {
	Lane   string
	Proven bool
	User   ID
	Device ID
}

func (k memberKey) Append(data []byte) []byte {
	data = table.AppendText(data, k.Lane)
	if k.Proven {
		data = append(data, 1)
	} else {
		data = append(data, 0)
	}
	return k.Device.Append(k.User.Append(data))
}

func (memberKey) Parse(data []byte) (memberKey, error) {
	f := table.Split(data)
	return memberKey{f.Text(), f.Fixed(1)[0] != 0, ID(f.Text()), ID(f.Text())}, f.Err()
}

// dueKey is the time at which a device's queue is due, in its lane, by its user. The queues of slow
// devices are apart.
type dueKey struct {
	Lane   string
	User   ID
	Slow   bool
	At     time.Time
	Device ID
}

func (k dueKey) Append(data []byte) []byte {
	data = k.User.Append(table.AppendText(data, k.Lane))
	if k.Slow {
		data = append(data, 1)
	} else {
		data = append(data, 0)
	}
	return k.Device.Append(table.AppendTime(data, k.At))
}

func (dueKey) Parse(data []byte) (dueKey, error) {
	f := table.Split(data)
	return dueKey{f.Text(), ID(f.Text()), f.Fixed(1)[0] != 0, f.Time(), ID(f.Text())}, f.Err()
}
