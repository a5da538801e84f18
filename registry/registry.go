// Package registry is the store: users, tokens, accounts, cursors, devices, notifications and each
// device's queue, in one file. It is the ground floor: it knows none of the other rooms, and what
// they share goes through it.
//
// A [Store] is one store with a handle for each of those who use it: [Mail] for the watcher,
// [Outbox] for push, and [Users], [Accounts], [Devices] and [History] for web.
//
// What commits together is decided here and nowhere else:
//
//   - [Mail.Record]: new mail, its place in the queue of every device that it rings, and the cursor
//     that has moved past it. So a crash before it finds the mail again, and a crash after it finds
//     the delivery.
//   - [Mail.Clear]: that mail was read elsewhere, what waited of it and is cancelled, and what is to
//     be taken away.
//   - [Mail.SetState]: how an account stands, and what its people are told of it.
//   - [Outbox.Settle]: the outcome of a delivery, and the queue that goes on behind it.
//   - [Outbox.Combine]: the end of what waited, and what takes its place.
//
// What is kept, in tables of package table (rows.go has their rows and indexes):
//
//	users          the people, by id; found by name
//	tokens         sessions and bearer tokens, by their SHA-256; found by user and by id
//	invites        by the SHA-256 of their code; found by user and by id
//	accounts       mailboxes with their sealed password, by id; found by user and by mailbox
//	standings      how accounts stand: status, unread mails
//	cursors        how far each folder was handled
//	hosts          what was learned of mail servers
//	devices        phones and browsers with their sealed address, by user and id; found by id and by address
//	queues         of each device: when it is due, how it stands, where its lines begin; found by due time
//	lanes          the ways to push services that are paused
//	notifications  what there is to say, its content sealed once, by account (or user) and time; found
//	               by stable id, by the mail's fingerprint and by where the mail is
//	deliveries     one row for each notification and device: waiting, or its outcome; found by what
//	               waits in each line of a queue
//	meta           the layout's version, keys, the last sequence
//
// Every method is atomic and takes and returns plain values. Methods may be called from several
// goroutines; they block for as long as the disk takes.
package registry

import (
	"errors"
	"sync"
	"sync/atomic"

	"idlepush/registry/table"
)

// What a caller can decide on.
var (
	ErrNotFound  = errors.New("not found")
	ErrTaken     = errors.New("already taken")
	ErrStale     = errors.New("the row has changed since it was read")
	ErrDenied    = errors.New("wrong name, password or token")
	ErrCorrupt   = table.ErrCorrupt
	ErrSetupDone = errors.New("setup is done already")
	ErrLastAdmin = errors.New("nobody else is an admin")
)

// Store is the open store. Close it when no method is running any more.
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
	db     *table.DB
	dir    string
	hashes chan struct{} // a slot per argon2 hash that may run at once
	began  uint64        // the last sequence of an earlier run
	behind atomic.Bool   // a notification may not be in all of its queues: finish has failed

	accounts signal
	outbox   signal

	ears      sync.Mutex // guards listeners
	listeners []*Listener
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

// Changed says "look again" after an account was added, edited or removed. One reader; signals may
// merge.
func (m Mail) Changed() <-chan struct{} { return m.accounts }

// Close waits for running transactions and closes the file.
func (c *core) Close() error { return c.db.Close() }

// Ready says why the store is of no use; nil: it can be read, and the last commit succeeded.
func (c *core) Ready() error {
	if err := c.db.Ready(); err != nil {
		return err
	}
	return c.db.View(func(tx *table.Tx) error {
		_, err := readFormat(tx)
		return err
	})
}
