package registry

import (
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// ChangeKind is what something that changed is.
type ChangeKind string

// What can change. AllChanged stands for more than could be kept of one listener: look at everything again.
const (
	AccountChanged      ChangeKind = "account"
	DeviceChanged       ChangeKind = "device"
	NotificationChanged ChangeKind = "notification"
	UserChanged         ChangeKind = "user"
	SessionChanged      ChangeKind = "session"
	InviteChanged       ChangeKind = "invite"
	AllChanged          ChangeKind = "all"
)

// Change names something that was made, changed or removed.
type Change struct {
	Kind ChangeKind
	ID   string // empty: any of that kind
}

// noted is a change with those who may see it: the users, or those who see the account, or, where there is neither, everybody.
type noted struct {
	Change
	users   []string
	account string
}

// mostChanges bounds what a listener keeps until it is taken.
const mostChanges = 100

// Listener hears of what one user may see. A reader that is slow delays nobody.
type Listener struct {
	user  string
	store *Store
	wake  signal

	mu      sync.Mutex
	pending []Change
}

// Listen begins to listen for the user. Stop it in the end.
func (s *Store) Listen(user string) *Listener {
	l := &Listener{user: user, store: s, wake: make(signal, 1)}
	s.ears.Lock()
	defer s.ears.Unlock()
	s.listeners = append(s.listeners, l)
	return l
}

// Stop ends the listening.
func (l *Listener) Stop() {
	l.store.ears.Lock()
	defer l.store.ears.Unlock()
	l.store.listeners = slices.DeleteFunc(l.store.listeners, func(o *Listener) bool { return o == l })
}

// Changed says that Take has something. Signals may merge.
func (l *Listener) Changed() <-chan struct{} { return l.wake }

// Take gives what has changed since the last call, each thing once. It was written before.
func (l *Listener) Take() []Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.pending
	l.pending = nil
	return list
}

func (l *Listener) hear(c Change) {
	l.mu.Lock()
	switch all := (Change{Kind: AllChanged}); {
	case slices.Contains(l.pending, c) || slices.Contains(l.pending, all):
	case len(l.pending) == mostChanges:
		l.pending = []Change{all}
	default:
		l.pending = append(l.pending, c)
	}
	l.mu.Unlock()
	l.wake.raise()
}

// note tells of a change once the transaction that runs has been committed. users are those who may see it; none: everybody.
func (s *Store) note(kind ChangeKind, id string, users ...string) {
	s.notes = append(s.notes, noted{Change{kind, id}, users, ""})
}

// noteOf is note for what those see who see the account.
func (s *Store) noteOf(kind ChangeKind, id, account string) {
	s.notes = append(s.notes, noted{Change{kind, id}, nil, account})
}

// tell has the listeners hear what was noted.
func (s *Store) tell(notes []noted) {
	s.ears.Lock()
	defer s.ears.Unlock()
	if len(s.listeners) == 0 || len(notes) == 0 {
		return
	}
	seen := make(map[string]Account)
	// An account that cannot be read is seen by nobody; whoever reads it is told why.
	_ = s.view(func(tx *bolt.Tx) error {
		for _, n := range notes {
			if _, known := seen[n.account]; n.account != "" && !known {
				if row, err := sealedAccount(tx, n.account); err == nil {
					seen[n.account] = row.Account
				}
			}
		}
		return nil
	})
	for _, n := range notes {
		for _, l := range s.listeners {
			if n.account != "" && seen[n.account].Visible(l.user) || n.account == "" && (len(n.users) == 0 || slices.Contains(n.users, l.user)) {
				l.hear(n.Change)
			}
		}
	}
}
