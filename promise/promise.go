// Package promise decides which promises of idlepush are broken, from the state of mailboxes,
// devices, push services, store and program at one time. The page, the metrics and the dead-man's
// URL must say the same. Web may not import the program, so this is a package of its own.
package promise

import (
	"cmp"
	"slices"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/receipt"
	"idlepush/registry"
)

// Patience is how long something may be down before that breaks a promise.
const Patience = 5 * time.Minute

// TellAfter is how long a push service may accept nothing before its users are notified.
const TellAfter = time.Hour

// House is a snapshot of the whole server.
type House struct {
	Awake      time.Time // when the program began or the machine last woke up
	Mailboxes  []Mailbox
	Devices    []idlepush.Device
	Paused     []registry.Lane
	LastPaused map[string]time.Time // by lane; absent: longer ago than TellAfter
	Admins     []string             // their ids; only Troubles needs them
	StoreDown  time.Time            // since when the store fails; zero: it does not
	DiskLow    time.Time            // since when its disk is nearly full; zero: it is not
	Looked     time.Time            // when the slower of the program's loops has last gone round
}

// Mailbox is an account with what its session knows.
type Mailbox struct {
	idlepush.Account
	Confirmed time.Time     // when the server last confirmed that no mail is missing; zero: not yet
	Interval  time.Duration // how long its connection may be silent
}

// Broken is a promise that is broken.
type Broken struct {
	idlepush.Reason
	Since      time.Time
	Account    string   // its id; empty: it is about no account
	Device     string   // its id; empty: it is about no device
	Users      []string // ids of those whom it concerns; nil: all
	AdminsOnly bool     // it concerns the admins and nobody else
}

// Concerns reports whether it concerns the user of that id, who may be an admin.
func (b Broken) Concerns(user string, admin bool) bool {
	if b.AdminsOnly {
		return admin
	}
	return b.Users == nil || slices.Contains(b.Users, user)
}

// Count returns how many of the broken promises have each code.
func Count(list []Broken) map[codes.Code]int {
	count := make(map[codes.Code]int)
	for _, b := range list {
		count[b.Code]++
	}
	return count
}

// Broken returns the promises that are broken at now, the oldest first.
func (h House) Broken(now time.Time) (list []Broken) {
	if !h.StoreDown.IsZero() {
		list = append(list, Broken{Reason: idlepush.Reason{Code: storeDown}, Since: h.StoreDown})
	}
	if !h.DiskLow.IsZero() {
		list = append(list, Broken{Reason: idlepush.Reason{Code: diskLow}, Since: h.DiskLow, AdminsOnly: true})
	}
	if since := latest(h.Looked, h.Awake); late(since, now) {
		list = append(list, Broken{Reason: idlepush.Reason{Code: programStuck}, Since: since})
	}
	for _, m := range h.Mailboxes {
		if r, since, broken := h.mailbox(m, now); broken {
			list = append(list, Broken{Reason: r.With(codes.Account, m.Email), Since: since, Account: m.ID, Users: append([]string{m.Owner}, m.SharedWith...)})
		}
	}
	for _, d := range h.Devices {
		if r, since, broken := h.device(d, now); broken {
			list = append(list, Broken{Reason: r.With("device", d.Name), Since: since, Device: d.ID, Users: []string{d.User}})
		}
	}
	for _, l := range h.Paused {
		if users := h.usersOf(l); len(users) > 0 && late(latest(l.Since, h.Awake), now) {
			list = append(list, Broken{Reason: laneDown(l), Since: l.Since, Users: users})
		}
	}
	slices.SortStableFunc(list, func(a, b Broken) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Code, b.Code)) })
	return list
}

// mailbox decides whether mail of the mailbox may come unnoticed: it is down, or nothing has
// confirmed for too long that it is not.
func (h House) mailbox(m Mailbox, now time.Time) (r idlepush.Reason, since time.Time, broken bool) {
	st := m.Status
	switch {
	case !m.Enabled:
		return r, since, false
	case (st.State == idlepush.StateRetrying || st.State == idlepush.StateAttention) && st.Code != "":
		return because(mailboxDown, st.Reason), st.Since, late(latest(st.Since, h.Awake), now)
	}
	since = latest(m.Confirmed, h.Awake)
	if st.State == idlepush.StateNew {
		since = latest(since, st.Since)
	}
	return idlepush.Reason{Code: mailboxUnconfirmed}, since, late(since.Add(m.Interval), now)
}

// device decides whether a device does not ring although its push service works, or reports no
// more that it does.
func (h House) device(d idlepush.Device, now time.Time) (r idlepush.Reason, since time.Time, broken bool) {
	st := d.Status
	switch due := latest(d.Due, h.Awake); {
	case st.State == idlepush.StateSuspect:
		return because(deviceDown, st.Reason), st.Since, true
	case d.Chain.Unconfirmed(now):
		return idlepush.Reason{Code: receipt.CodeUnconfirmed}, d.Chain.Since, true
	case h.isPaused(d.Lane):
		return r, since, false
	case st.Failures > 0 && late(latest(st.Failing, h.Awake), now):
		return because(deviceDown, st.Reason), st.Failing, true
	default:
		return idlepush.Reason{Code: deviceWaits}, due, !d.Due.IsZero() && late(due, now)
	}
}

func (h House) isPaused(lane string) bool {
	return slices.ContainsFunc(h.Paused, func(l registry.Lane) bool { return l.Name == lane })
}

// usersOf returns the ids of those who have a device in the lane, sorted.
func (h House) usersOf(l registry.Lane) (users []string) {
	for _, d := range h.Devices {
		if d.Lane == l.Name {
			users = append(users, d.User)
		}
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// laneDown returns why a paused lane breaks a promise.
func laneDown(l registry.Lane) idlepush.Reason {
	return because(serviceDown, l.Reason).With("service", l.Name)
}

// because returns a reason with that code, whose cause is the reason r.
func because(code codes.Code, r idlepush.Reason) idlepush.Reason {
	cause := r.Code
	r.Code = code
	return r.With(codes.Cause, string(cause))
}

func late(since, now time.Time) bool { return now.Sub(since) >= Patience }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
