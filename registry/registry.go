// Package registry is the store of users, tokens, accounts, cursors, devices, notifications and
// queues. Their types are in package idlepush. Of other packages of the program it imports only
// that one, codes, cleantext, and its own subpackages.
//
// A [Store] has a handle for each of its callers: [Mail] for the watcher, [Outbox] for push, and
// [Users], [Logins], [Accounts], [Devices] and [History] for web.
//
// # What is kept
//
// The rows of users, tokens, invites, accounts, grants, clients, devices and wishes carry tags that
// only the key of the store makes; damage.go says what becomes of one that does not fit.
//
// The tables of the store, with their keys (rows.go and devicerows.go have their rows and indexes):
//
//	users          by id; found by name, and by what the name looks like
//	guesses        by user: how many tries of the password are free
//	tokens         sessions and bearer tokens, by the SHA-256 of their secret; found by user, by id
//	invites        by the SHA-256 of their code; found by user, by id, by the user whose password
//	               they are for
//	accounts       mailboxes with their sealed password, by id; found by user, by whom they are offered
//	               to, by mailbox
//	clients        OAuth clients with their sealed secret, by provider
//	grants         by account: its sealed refresh token, if a provider gives access (OAuth)
//	asked          by owner and person: when an offer was announced to the person, or declined
//	standings      by account: its status, how many mails are unread
//	cursors        by account and folder: how far the folder was handled
//	hosts          by host and port: what accounts have learned of a mail server
//	devices        phones and browsers with their sealed address, by user and id; found by id, by
//	               address
//	wishes         the wishes of a user for an account, sealed
//	devicewishes   the wishes of a device, sealed, by user and id
//	senders        by account and a digest of the address: whose mail it has had
//	queues         by device: when it is due, its status, the head of each subqueue; found by
//	               due time
//	lanes          by name: the paused lanes
//	ways           by device: how long the last pushes took to it
//	notifications  their content is sealed once, by account (or user) and sequence; found by stable
//	               id, by the mail's fingerprint, by the mail's place; those without content, those
//	               that did not ring, those that push has not decided on, those that are not yet in
//	               every queue
//	deliveries     by notification and device: pending, or the outcome; pending ones are found by
//	               subqueue
//	meta           the version of the format, the last sequence, the time of a restore; sealed: the
//	               VAPID key, the hash of the setup token, the public URL
//
// A device's queue consists of subqueues: one for each account, one for clears, and one for the
// rest, and beside each one for its held deliveries. Each keeps its order. Held deliveries do not
// stop the others.
//
// # Files
//
// The data folder has these files:
//
//	idlepush.db          the store
//	key                  the key that seals its secrets
//	setup-token          until there is a user
//	idlepush.sock        while the daemon runs; see the program
//	idlepush.db.closed   after Close: the store need not be checked
//	idlepush.db.new      while the store is created
//	idlepush.db.compact  while it is compacted
//	idlepush.db.upgrade  while it is upgraded
//	idlepush.db.replaced-TIME
//	                     a store that a restore has replaced; see package backup
//	restore.new, check-N while a backup is restored or checked
//	mode-test            for a moment, if others can read one of these
//	idlepush.db.v1       the store before the upgrade from version 1; .v2 and so on
//
// # What commits together
//
// Each method is one transaction, unless its comment says that it takes several. Each of these
// leaves the store valid.
//
//   - [Mail.Record]: new mail with its facts, its place in the queue of every device that it
//     notifies or why it does not ring, and the cursor past it. After a crash before the commit,
//     the mail is found again; after one that comes later, the delivery is.
//   - [Mail.Clear]: the mail that was read elsewhere, the cancelled deliveries, and the clears for
//     the devices that may show it.
//   - [Mail.FillIn]: the content of a mail that was notified without it, and its place in the
//     queues of devices that may show the content.
//   - [Mail.SetState], [Mail.TryAgain]: the status of an account, and the notifications about it.
//   - [Outbox.Settle]: the outcome of a delivery, the deliveries sent with it, the queue, the
//     status of the device, and the pause of its lane. If the device is gone: its end, and the
//     notification about it.
//   - [Users.SetTroubles]: the notification of a user about a trouble, and the end of those about
//     others.
//   - [Devices.Receive]: the report about a delivery, and the end of the notification that the
//     device is unconfirmed.
//   - [Outbox.Decide]: decisions, and the deliveries that they hold back or skip.
//   - [Outbox.Combine]: the deliveries that end, and the one that replaces them.
//   - [Devices.Register], [Devices.Update], [Devices.Remove]: a device and its queue.
//   - [Logins.RemoveSession]: a session, and the devices that registered themselves in it.
//   - [Accounts.Remove], [Users.Remove]: the end of a share, and the notification about it.
//   - [Accounts.Update]: an account, and the cursors that this invalidates.
//   - [Users.Setup], [Users.Accept]: a user, and the first session or token.
//   - [Logins.AddPasswordLink], [Logins.SetPassword]: a password link or a new password, and the
//     notification about it.
//
// Methods take and return plain values. They may be called from several goroutines, and block for
// as long as the disk takes.
package registry

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Errors that callers tell apart. They may be wrapped.
var (
	// ErrNotFound reports that a row, or its owner, does not exist.
	ErrNotFound = errors.New("not found")
	// ErrTaken reports that another row has this name or address.
	ErrTaken = errors.New("already taken")
	// ErrLooksTaken reports that another user has a name that looks like this one.
	ErrLooksTaken = errors.New("another name looks like this one")
	// ErrStale reports that the caller must read the row again and decide again.
	ErrStale = errors.New("the row has changed since it was read")
	// ErrDenied reports that a secret is wrong, or that a session has ended.
	ErrDenied = errors.New("wrong name, password or token")
	// ErrCorrupt reports that a row or the file is damaged.
	ErrCorrupt = table.ErrCorrupt
	// ErrInUse reports that another process has the store open.
	ErrInUse = table.ErrInUse
	// ErrSetupDone reports that a user exists.
	ErrSetupDone = errors.New("setup is done already")
	// ErrLast reports that the last admin must stay one, or the last way in of a user.
	ErrLast = errors.New("it is the last")
	// ErrNotTold reports that the devices of a user are to be notified first.
	ErrNotTold = errors.New("the devices of the user have not been notified yet")
)

// Store is the open store.
type Store struct {
	Mail     Mail
	Outbox   Outbox
	Users    Users
	Logins   Logins
	Accounts Accounts
	Devices  Devices
	History  History
	*core
}

// core is what the handles share.
type core struct {
	db  *table.DB
	dir string
	key []byte // see Key
	hashing
	receipts
	began       uint64 // the last sequence that an earlier run may have left unsettled
	warnings    []idlepush.Reason
	bounds      bounds
	hasUnqueued atomic.Bool // a notification may not be in all of its queues: finish has failed

	unread   *unreadCounts
	due      *dueQueues
	inFlight *inFlight
	opened   *openedWishes
	accounts signal
	outbox   signal

	listenersMu sync.Mutex // guards listeners
	listeners   []*Listener
}

// hashing bounds what passwords cost.
type hashing struct {
	hashMemory uint32        // of a new password, KiB
	hashes     chan struct{} // a slot per argon2 hash that may run at once
}

func (c *core) store() *Store {
	return &Store{Mail{c}, Outbox{c}, Users{c}, Logins{c}, Accounts{c}, Devices{c}, History{c}, c}
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
func (s *Store) Close() error {
	_ = s.endRun() // without it the next run takes more for shown than there is
	return s.db.Close()
}

// Probe makes a small commit if the last commit failed, so that Ready reports when the store works
// again.
func (s *Store) Probe(now time.Time) {
	if s.db.Ready() != nil {
		_ = s.db.Update(func(tx *table.Tx) error { // Ready has the error
			_, err := nextSequence(tx, now)
			return err
		})
	}
}

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
