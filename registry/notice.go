package registry

import (
	"errors"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// notice is what the page tells a user when it is opened next, because there was no device to
// notify. It stays until it is dismissed, or until a device of the user is registered: by a token
// of device scope only if it says that a device is gone.
type notice struct {
	Since time.Time
	idlepush.Reason
}

// Notice returns the user's notice, or a zero one. It returns ErrNotFound if there is no such user.
func (s Users) Notice(user string) (n notice, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		row, err := getUser(tx, user)
		n = notice{row.Notice.Since, idlepush.Reason{Code: row.Notice.Code, Params: row.Notice.Params}}
		return err
	})
	return n, err
}

// Dismiss removes the user's notice, if there is one. It returns ErrNotFound if there is no such
// user.
func (s Users) Dismiss(user string) error {
	return s.db.Update(func(tx *table.Tx) error {
		row, err := getUser(tx, user)
		if err != nil {
			return err
		}
		return putNotice(tx, id(user), row, notice{})
	})
}

// putNotice writes the row of a user with the notice, which may be zero.
func putNotice(tx *table.Tx, user id, row userRow, n notice) error {
	if n.Since.IsZero() && row.Notice.Since.IsZero() {
		return nil
	}
	row.Notice = noticeRow{n.Since, n.Code, n.Params}
	return users.Put(tx, user, row)
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
	u, err := getUser(set.tx, string(user))
	if errors.Is(err, ErrNotFound) {
		return nil // the user's row is damaged: nobody can log in and see a notice
	}
	if err != nil {
		return err
	}
	return putNotice(set.tx, user, u, notice{set.now, r})
}

// notifyUser notifies a user of something that concerns no account, on all devices, and returns
// these. about identifies what it is.
func (s *queueSet) notifyUser(user id, reason idlepush.Reason, about ...string) (told []deviceKey, err error) {
	return s.notifyUserOnce(user, attentionID(s.now, about...), reason)
}

// attentionID returns the stable id of what notifyUser inserts at that time.
func attentionID(now time.Time, about ...string) string {
	return stableID(slices.Concat([]string{string(idlepush.KindAttention)}, about, []string{now.String()})...)
}

// notifyUserOnce is notifyUser with the stable id of the notification, which must not exist yet.
func (s *queueSet) notifyUserOnce(user id, stable string, reason idlepush.Reason) (told []deviceKey, err error) {
	own, err := devices.Keys(s.tx, table.Under(user), table.NoLimit)
	if err != nil {
		return nil, err
	}
	var recipients []string
	for _, k := range own {
		recipients = append(recipients, string(k.device))
	}
	return own, s.insert(idlepush.Notification{ID: stable, Kind: idlepush.KindAttention, User: string(user),
		At: s.now, Expires: s.now.Add(idlepush.KindAttention.Lifetime()), Reason: reason}, recipients)
}
