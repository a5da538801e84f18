package registry

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// maxNotices bounds the notices of a user. The last one gives way to the next.
const maxNotices = 20

// notice is what the page tells a user when it is opened next, because there was no device to
// notify. It stays until it is dismissed; one of a device that is gone also until a device of the
// user is registered.
type notice struct {
	Since time.Time
	idlepush.Reason
}

// Notice returns the user's first notice, or a zero one. It returns ErrNotFound if there is no such
// user.
func (s Users) Notice(user string) (n notice, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		row, err := getUser(tx, user)
		if len(row.Notices) > 0 {
			first := row.Notices[0]
			n = notice{first.Since, idlepush.Reason{Code: first.Code, Params: first.Params}}
		}
		return err
	})
	return n, err
}

// Dismiss removes the user's first notice, if it is the one since that time: the person has seen no
// other. It returns ErrNotFound if there is no such user.
func (s Users) Dismiss(user string, since time.Time) error {
	return s.db.Update(func(tx *table.Tx) error {
		row, err := getUser(tx, user)
		if err != nil || len(row.Notices) == 0 || !row.Notices[0].Since.Equal(since) {
			return err
		}
		row.Notices = row.Notices[1:]
		return users.Put(tx, id(user), row)
	})
}

// addNotice adds a notice, which replaces none that says something else.
func (row *userRow) addNotice(n notice) {
	row.Notices = slices.DeleteFunc(slices.Clone(row.Notices), func(other noticeRow) bool {
		return other.Code == n.Code && maps.Equal(other.Params, n.Params)
	})
	row.Notices = append(row.Notices[:min(len(row.Notices), maxNotices-1)], noticeRow{n.Since, n.Code, n.Params})
}

// endNotices removes the notices with the code and, unless that is empty, about the device of that
// id. It reports whether there were any.
func (row *userRow) endNotices(code codes.Code, device id) bool {
	before := len(row.Notices)
	row.Notices = slices.DeleteFunc(slices.Clone(row.Notices), func(n noticeRow) bool {
		return n.Code == code && (device == "" || n.Params["id"] == string(device))
	})
	return len(row.Notices) < before
}

// tellUser notifies a user as notifyUser does, or puts a notice on the page if there is no device.
func tellUser(set *queueSet, user id, r idlepush.Reason, about ...string) error {
	return tellOthers(set, user, "", r, about...)
}

// tellOthers is tellUser for a device that may not be the user's: a notice takes its place if there
// is no other device.
func tellOthers(set *queueSet, user, device id, r idlepush.Reason, about ...string) error {
	told, err := set.notifyUser(user, r, about...)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(told, func(k deviceKey) bool { return k.device != device }) {
		return nil
	}
	return set.addNotice(user, r)
}

// addNotice adds a notice for a user.
func (s *queueSet) addNotice(user id, r idlepush.Reason) error {
	return changeUser(s.tx, user, func(u *userRow) { u.addNotice(notice{s.now, r}) })
}

// changeUser changes the row of a user. If that is removed or damaged it does nothing: nobody can
// log in.
func changeUser(tx *table.Tx, user id, change func(*userRow)) error {
	u, err := getUser(tx, string(user))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	change(&u)
	return users.Put(tx, user, u)
}

// overCost is what it reads and writes at most to change Over of a user.
const overCost = 4

// endTold marks the notification with this stable id for Withdraw.
func (row *userRow) endTold(stable string) { row.Over = append(slices.Clone(row.Over), stable) }

// Withdraw withdraws the notifications to users that other methods have marked as over. It takes as
// many transactions as it needs. Changed receives when there is something to withdraw.
func (o Outbox) Withdraw(now time.Time) (err error) {
	for within := (table.Range{}); ; {
		var next []table.Row[id, userRow]
		failed := o.db.View(func(tx *table.Tx) (err error) {
			next, err = usersOver.Rows(tx, within, 1)
			return err
		})
		if failed != nil || len(next) == 0 {
			return errors.Join(err, failed)
		}
		user := next[0].Key
		if failed = o.updateQueues(now, func(set *queueSet) error { return o.withdrawOver(set, user) }); failed != nil {
			err = errors.Join(err, failed) // damage at one user keeps nothing from the others
			within = within.Past(user)
		}
	}
}

// withdrawOver withdraws the first such notification of the user, or a part of it.
func (c *core) withdrawOver(set *queueSet, user id) error {
	u, err := getUser(set.tx, string(user))
	if err != nil || len(u.Over) == 0 {
		return err
	}
	set.reserved = overCost
	n, found, err := byStableID.Row(set.tx, stableKey{user, u.Over[0]})
	if err != nil {
		return err
	}
	done := !found
	if found {
		t := c.newWithdrawal(set, user)
		if done, err = t.withdraw(n); err == nil {
			err = t.sendClears()
		}
	} else { // Purge has removed it, and devices may show it still
		err = set.clearAtUser(user, u.Over[0])
	}
	if err != nil || !done {
		return err
	}
	u.Over = slices.Clone(u.Over[1:])
	return users.Put(set.tx, user, u)
}

// clearAtUser queues a clear of a notification for all devices of the user.
func (s *queueSet) clearAtUser(user id, stable string) error {
	own, err := devices.Keys(s.tx, table.Under(user), table.NoLimit)
	if err != nil {
		return err
	}
	return s.insert(clearOf(string(user), []string{stable}, s.now), deviceIDs(own))
}

// deviceIDs returns the ids of devices.
func deviceIDs(list []deviceKey) (ids []string) {
	for _, k := range list {
		ids = append(ids, string(k.device))
	}
	return ids
}

// toldCost is what tellUser reads and writes at most, with one queue.
const toldCost = 1 + notificationCost + queueCost + deliveryCost + 6

// teller notifies a user of a change of an account. It may be nil.
type teller func(set *queueSet, a idlepush.Account, user string) error

func (t teller) tell(set *queueSet, a idlepush.Account, user string) error {
	if t == nil {
		return nil
	}
	return t(set, a, user)
}

func tellMailboxByAdmin(set *queueSet, a idlepush.Account, user string) error {
	reason := idlepush.Reason{Code: codeMailboxByAdmin}.With(codes.Account, a.Email)
	return tellUser(set, id(user), reason, a.ID, strconv.FormatUint(a.Revision, 10))
}

func tellMailboxRemoved(set *queueSet, a idlepush.Account, user string) error {
	reason := idlepush.Reason{Code: codeMailboxByAdmin}.With(codes.Account, a.Email).With(codes.Case, mailboxRemoved)
	return tellUser(set, id(user), reason, a.ID, mailboxRemoved)
}

// notifyUser notifies a user of something that concerns no account, on all devices, and returns
// these. about identifies what it is.
func (s *queueSet) notifyUser(user id, reason idlepush.Reason, about ...string) (told []deviceKey, err error) {
	return s.notifyUserOnce(user, attentionID(s.now, about...), reason, "")
}

// attentionID returns the stable id of what notifyUser inserts at that time.
func attentionID(now time.Time, about ...string) string {
	return stableID(slices.Concat([]string{string(idlepush.KindAttention)}, about, []string{now.String()})...)
}

// notifyUserOnce is notifyUser with the stable id of the notification, which must not exist yet.
// The device except is not notified; it may be empty.
func (s *queueSet) notifyUserOnce(user id, stable string, reason idlepush.Reason, except id) (told []deviceKey, err error) {
	told, err = devices.Keys(s.tx, table.Under(user), table.NoLimit)
	if err != nil {
		return nil, err
	}
	told = slices.DeleteFunc(told, func(k deviceKey) bool { return k.device == except })
	return told, s.notifyOn(told, user, stable, reason)
}

// notifyOn is notifyUserOnce on these devices.
func (s *queueSet) notifyOn(list []deviceKey, user id, stable string, reason idlepush.Reason) error {
	return s.insert(idlepush.Notification{ID: stable, Kind: idlepush.KindAttention, User: string(user),
		At: s.now, Expires: s.now.Add(idlepush.KindAttention.Lifetime()), Reason: reason}, deviceIDs(list))
}
