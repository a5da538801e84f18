package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"

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

// senderKey is a sender of mail by the account that has it.
type senderKey struct {
	account id
	sender  digest // with the key of the store; see recordSender
}

func (k senderKey) Append(data []byte) []byte { return k.sender.Append(k.account.Append(data)) }

func (senderKey) Parse(data []byte) (senderKey, error) {
	f := table.Split(data)
	return senderKey{id(f.Text()), digest(f.Fixed(sha256.Size))}, f.Err()
}

// askedKey is a person by the owner of accounts who asks to share them.
type askedKey struct{ owner, person id }

func (k askedKey) Append(data []byte) []byte { return k.person.Append(k.owner.Append(data)) }

func (askedKey) Parse(data []byte) (askedKey, error) {
	f := table.Split(data)
	return askedKey{id(f.Text()), id(f.Text())}, f.Err()
}

// digest is the SHA-256 of a secret, or of a text that may be long.
type digest [sha256.Size]byte

func digestOf(text string) digest { return sha256.Sum256([]byte(text)) }

func (k digest) Append(data []byte) []byte { return append(data, k[:]...) }

func (digest) Parse(data []byte) (digest, error) {
	f := table.Split(data)
	return digest(f.Fixed(sha256.Size)), f.Err()
}

// makerKey is what one credential of a user has made. by is empty if no credential has.
type makerKey struct{ owner, by id }

func (k makerKey) Append(data []byte) []byte { return k.by.Append(k.owner.Append(data)) }

// ownedKey is the digest of a session, token or invite of a user.
type ownedKey struct {
	makerKey
	digest digest
}

func (k ownedKey) Append(data []byte) []byte { return k.digest.Append(k.makerKey.Append(data)) }

func (ownedKey) Parse(data []byte) (ownedKey, error) {
	f := table.Split(data)
	return ownedKey{makerKey{id(f.Text()), id(f.Text())}, digest(f.Fixed(sha256.Size))}, f.Err()
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
	stage   decisionStage
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
	return undecidedKey{undecidedPrefix{stageOfAccount{decisionStage(f.Text()), id(f.Text())}, digest(f.Fixed(sha256.Size))}, f.Uint64()}, f.Err()
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

// dueKeys returns the key of a device's queue, or none if it is not due.
func (row queueRow) dueKeys(device id) []dueKey {
	if row.Due.IsZero() {
		return nil
	}
	return []dueKey{{dueGroup{row.Lane, row.User, row.Slow}, row.Due, device}}
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
	memberPrefix
	user, device id
}

func (k memberKey) Append(data []byte) []byte {
	return k.device.Append(k.user.Append(k.memberPrefix.Append(data)))
}

func (memberKey) Parse(data []byte) (memberKey, error) {
	f := table.Split(data)
	return memberKey{memberPrefix{f.Text(), f.Fixed(1)[0] != 0}, id(f.Text()), id(f.Text())}, f.Err()
}

// memberPrefix begins the keys of the devices of a lane that are proven, or of the others.
type memberPrefix struct {
	lane   string
	proven bool
}

func (k memberPrefix) Append(data []byte) []byte {
	data = lanePrefix(k.lane).Append(data)
	if k.proven {
		return append(data, 1)
	}
	return append(data, 0)
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
