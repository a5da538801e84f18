// Package registry is the store: users, tokens, accounts, cursors, devices, notifications and each
// device's queue. It imports no other package of the program but its own subpackages.
//
// A [Store] has a handle for each of its callers: [Mail] for the watcher, [Outbox] for push, and
// [Users], [Accounts], [Devices] and [History] for web.
//
// # What is kept
//
// The tables of the store, with their keys (rows.go has their rows and indexes):
//
//	users          by id; found by name
//	tokens         sessions and bearer tokens, by the SHA-256 of their secret; found by user, by id
//	invites        by the SHA-256 of their code; found by user, by id
//	accounts       mailboxes with their sealed password, by id; found by user, by mailbox
//	standings      by account: its status, how many mails are unread
//	cursors        by account and folder: how far the folder was handled
//	hosts          by host and port: what was learned of a mail server
//	devices        phones and browsers with their sealed address, by user and id; found by id, by
//	               address
//	queues         by device: when it is due, its status, where its subqueues begin; found by due time
//	lanes          by name: the push services that are paused
//	notifications  their content is sealed once, by account (or user) and sequence; found by stable
//	               id, by the mail's fingerprint, by where the mail is; those without words, those
//	               that are not yet in every queue
//	deliveries     by notification and device: waiting, or the outcome; found by what waits in each
//	               subqueue of a queue
//	meta           the version of the format, the sealed VAPID key, the hash of the setup token, the
//	               public URL, the last sequence
//
// A device's queue is made of subqueues: one for each account, one for what is to be taken away, one
// for the rest. Each subqueue keeps its order, and can be held back while the others go on.
//
// # Where
//
// [Open] keeps these files in the data folder: idlepush.db, the store; key, which seals its
// secrets; and setup-token, until there is a user. Beside the store stand idlepush.db.closed after
// a clean end, .new, .compact and .upgrade while a store is made, compacted or upgraded, and .v1,
// .v2 and so on: the store as it was before each upgrade.
//
// # What commits together
//
// Each method is one transaction, except those whose comment speaks of steps. A step that was
// committed stands.
//
//   - [Mail.Record]: new mail, its place in the queue of every device that it rings, and the cursor
//     behind it. A crash before the commit finds the mail again; a crash after it finds the delivery.
//   - [Mail.Clear]: the mail that was read elsewhere, the deliveries that this cancels, and the clears
//     for the devices that may show it.
//   - [Mail.FillIn]: the content of a mail that rang without it, and its place in the queues where the
//     content adds something.
//   - [Mail.SetState]: the status of an account, and the notifications that tell its users.
//   - [Outbox.Settle]: the outcome of a delivery, what rode with it, the queue behind it, and the
//     pause of its lane.
//   - [Outbox.Combine]: the deliveries that waited, and the one that replaces them.
//   - [Devices.Put], [Devices.Update], [Devices.Remove]: a device, its queue, and its session.
//   - [Accounts.Update]: an account, and the cursors that no longer mean anything.
//   - [Users.Setup], [Users.Accept]: a user, and the first session or token.
//
// Methods take and return plain values. They may be called from several goroutines, and block for
// as long as the disk takes.
package registry

import (
	"errors"
	"sync"
	"sync/atomic"

	"idlepush/registry/table"
)

// Errors that callers tell apart. They may be wrapped.
var (
	// ErrNotFound: the row, or what it belongs to, does not exist.
	ErrNotFound = errors.New("not found")
	// ErrTaken: another row has this name or address.
	ErrTaken = errors.New("already taken")
	// ErrStale: read the row again, then decide again.
	ErrStale = errors.New("the row has changed since it was read")
	// ErrDenied: the secret is wrong, or the session has ended.
	ErrDenied = errors.New("wrong name, password or token")
	// ErrCorrupt: a row or the file is damaged.
	ErrCorrupt = table.ErrCorrupt
	// ErrSetupDone: there is a user.
	ErrSetupDone = errors.New("setup is done already")
	// ErrLastAdmin: the last admin must stay one.
	ErrLastAdmin = errors.New("nobody else is an admin")
)

// Store is the open store.
type Store struct {
	Mail     Mail
	Outbox   Outbox
	Users    Users
	Accounts Accounts
	Devices  Devices
	History  History
	*core
}

// core is what the handles share.
type core struct {
	db          *table.DB
	dir         string
	hashes      chan struct{} // a slot per argon2 hash that may run at once
	began       uint64        // the last sequence of an earlier run
	hasUnqueued atomic.Bool   // a notification may not be in all of its queues: finish has failed

	accounts signal
	outbox   signal

	listenersMu sync.Mutex // guards listeners
	listeners   []*Listener
}

func (c *core) store() *Store {
	return &Store{Mail{c}, Outbox{c}, Users{c}, Accounts{c}, Devices{c}, History{c}, c}
}

type signal chan struct{}

func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Changed returns a channel that receives after an account was added, edited or removed. Signals
// may merge. It is for one reader.
func (m Mail) Changed() <-chan struct{} { return m.accounts }

// Close waits for running transactions and closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Ready returns nil if the store can be read and its last commit succeeded.
func (s *Store) Ready() error {
	if err := s.db.Ready(); err != nil {
		return err
	}
	return s.db.View(func(tx *table.Tx) error {
		_, err := readFormat(tx)
		return err
	})
}
