package registry

import (
	"reflect"
	"slices"
	"sync"

	"idlepush/registry/table"
)

// changeKind is the kind of a thing that has changed.
type changeKind string

// The kinds of changes. allChanged replaces the changes of a listener that became too many: it must
// read everything again.
const (
	accountChanged      changeKind = "account"
	deviceChanged       changeKind = "device"
	notificationChanged changeKind = "notification"
	userChanged         changeKind = "user"
	sessionChanged      changeKind = "session"
	inviteChanged       changeKind = "invite"
	offerChanged        changeKind = "offer"
	allChanged          changeKind = "all"
)

// change is a thing that was created, changed or removed.
type change struct {
	Kind changeKind
	ID   string // empty: any of that kind
}

// maxChanges bounds the changes that a listener collects.
const maxChanges = 100

// Listener collects changes of things that one user may see. A slow reader delays nobody.
type Listener struct {
	user  string
	store *core
	wake  signal

	mu      sync.Mutex
	pending []change
}

// Listen returns a new listener for the user. The caller must call Stop in the end.
func (h History) Listen(user string) *Listener {
	c := h.core
	l := &Listener{user: user, store: c, wake: make(signal, 1)}
	c.listenersMu.Lock()
	defer c.listenersMu.Unlock()
	c.listeners = append(c.listeners, l)
	return l
}

// Stop ends the listener.
func (l *Listener) Stop() {
	l.store.listenersMu.Lock()
	defer l.store.listenersMu.Unlock()
	l.store.listeners = slices.DeleteFunc(l.store.listeners, func(o *Listener) bool { return o == l })
}

// Changed returns a channel that receives after Take has something new. Signals may merge.
func (l *Listener) Changed() <-chan struct{} { return l.wake }

// Take returns the changes since the last call, each once. All of them are committed.
func (l *Listener) Take() []change {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.pending
	l.pending = nil
	return list
}

func (l *Listener) add(c change) {
	l.mu.Lock()
	switch all := (change{Kind: allChanged}); {
	case slices.Contains(l.pending, c) || slices.Contains(l.pending, all):
	case len(l.pending) == maxChanges:
		l.pending = []change{all}
	default:
		l.pending = append(l.pending, c)
	}
	l.mu.Unlock()
	l.wake.raise()
}

// watch wakes the workers and informs the listeners after every commit.
func (c *core) watch() {
	c.due.watch(c.db) // first: those it wakes read it
	accounts.Watch(c.db, func(k id, before, after *accountRow) {
		var viewers, asked []string
		for _, row := range []*accountRow{before, after} {
			if row != nil {
				viewers = append(viewers, row.viewers()...)
				asked = append(asked, row.offeredTo()...)
			}
		}
		c.publish(accountChanged, string(k), viewers)
		c.publish(offerChanged, "", asked)
		c.accounts.raise()
	})
	standings.Watch(c.db, func(k id, before, after *standingRow) {
		if after != nil && (before == nil || !before.looksLike(*after)) {
			c.publishToViewers(k, accountChanged, string(k))
		}
	})
	devices.Watch(c.db, func(k deviceKey, _, _ *deviceRow) {
		c.publish(deviceChanged, string(k.device), []string{string(k.user)})
	})
	wishes.Watch(c.db, func(k viewerKey, _, _ *wishesRow) {
		c.publish(accountChanged, string(k.account), []string{string(k.user)})
	})
	deviceWishes.Watch(c.db, func(k deviceKey, _, _ *deviceWishesRow) {
		c.publish(deviceChanged, string(k.device), []string{string(k.user)})
	})
	queues.Watch(c.db, func(k id, before, after *queueRow) {
		if after == nil {
			return
		}
		if !after.Due.IsZero() && (before == nil || before.Due.IsZero() || after.Due.Before(before.Due) || after.Lane != before.Lane) {
			c.outbox.raise()
		}
		if before == nil || !reflect.DeepEqual(before.Status, after.Status) || before.Chain.Last != after.Chain.Last {
			c.publishToOwner(k)
		}
	})
	lanes.Watch(c.db, func(_ table.Text, before, after *laneRow) {
		c.publishToAll(deviceChanged, "")
		if after == nil || before != nil && after.Until.Before(before.Until) {
			c.outbox.raise()
		}
	})
	notifications.Watch(c.db, func(k notificationKey, _, after *notificationRow) {
		if after == nil {
			return
		}
		// A summary of excess mail that has rung before can wait until push looks again.
		if after.Undecided == stageFound || after.Undecided == stageExcess && after.Earlier == 0 {
			c.outbox.raise()
		}
		if !after.isHidden() {
			c.publishToViewers(k.scope, notificationChanged, after.ID)
		}
	})
	deliveries.Watch(c.db, func(k deliveryKey, before, after *deliveryRow) {
		if before != nil && after != nil {
			c.publishDelivery(k.notification)
		}
	})
	c.watchUsers()
	c.unread.watch(c.db)
}

// watchUsers is watch for users and what lets them in.
func (c *core) watchUsers() {
	users.Watch(c.db, func(k id, before, after *userRow) {
		if before == nil || after == nil || before.Name != after.Name || before.Admin != after.Admin {
			c.publishToAll(userChanged, string(k))
		}
		if before != nil && after != nil && len(before.Notices)+len(after.Notices) > 0 && !reflect.DeepEqual(before.Notices, after.Notices) {
			c.publish(userChanged, string(k), []string{string(k)})
		}
		if after != nil && len(after.Over) > 0 {
			c.outbox.raise()
		}
		if before != nil && (after == nil || before.Era != after.Era) {
			c.publish(sessionChanged, "", []string{string(k)})
			c.publishToAll(inviteChanged, "")
		}
	})
	tokens.Watch(c.db, func(_ digest, before, after *tokenRow) {
		for _, row := range []*tokenRow{before, after} {
			if row != nil && (before == nil || after == nil) {
				c.publish(sessionChanged, row.ID, []string{row.User})
			}
		}
	})
	invites.Watch(c.db, func(_ digest, before, after *inviteRow) {
		if before == nil {
			c.publish(inviteChanged, after.ID, []string{after.User, after.Person})
		} else {
			c.publishToAll(inviteChanged, before.ID)
		}
	})
}

// publish adds a change to the listeners of the users.
func (c *core) publish(kind changeKind, changed string, users []string) {
	c.listenersMu.Lock()
	defer c.listenersMu.Unlock()
	for _, l := range c.listeners {
		if slices.Contains(users, l.user) {
			l.add(change{kind, changed})
		}
	}
}

// publishToAll adds a change to all listeners.
func (c *core) publishToAll(kind changeKind, changed string) {
	c.listenersMu.Lock()
	defer c.listenersMu.Unlock()
	for _, l := range c.listeners {
		l.add(change{kind, changed})
	}
}

func (c *core) hasListeners() bool {
	c.listenersMu.Lock()
	defer c.listenersMu.Unlock()
	return len(c.listeners) > 0
}

// publishToViewers adds a change to the listeners of those who may see an account, or of the user
// if scope is one. It ignores a row that cannot be read: whoever reads it gets the error.
func (c *core) publishToViewers(scope id, kind changeKind, changed string) {
	if !c.hasListeners() {
		return
	}
	var viewers []string
	_ = c.db.View(func(tx *table.Tx) (err error) {
		viewers, err = viewersOf(tx, scope)
		return err
	})
	c.publish(kind, changed, viewers)
}

// viewersOf returns the users who may see the notifications of the scope.
func viewersOf(tx *table.Tx, scope id) ([]string, error) {
	row, found, err := accounts.Get(tx, scope)
	if err != nil {
		return nil, err
	}
	if !found {
		return []string{string(scope)}, nil
	}
	return row.viewers(), nil
}

// publishToOwner adds a change of a device's status to the listeners of its user.
func (c *core) publishToOwner(device id) {
	if !c.hasListeners() {
		return
	}
	_ = c.db.View(func(tx *table.Tx) error {
		k, found, err := devicesID.Get(tx, device)
		if found {
			c.publish(deviceChanged, string(device), []string{string(k.user)})
		}
		return err
	})
}

// publishDelivery adds a change of a delivery to the listeners of those who may see its
// notification.
func (c *core) publishDelivery(k notificationKey) {
	if !c.hasListeners() {
		return
	}
	var stable string
	var viewers []string
	_ = c.db.View(func(tx *table.Tx) error {
		row, found, err := notifications.Get(tx, k)
		if err != nil || !found {
			return err
		}
		stable = row.ID
		viewers, err = viewersOf(tx, k.scope)
		return err
	})
	c.publish(notificationChanged, stable, viewers)
}
