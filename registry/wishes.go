package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"idlepush/registry/table"
	"idlepush/ring"
)

// isOf reports whether the wishes are those of the user's share of the account as it is now.
func (row wishesRow) isOf(a accountRow, user id) bool {
	return a.visible(string(user)) && row.Since == a.since(string(user)) && row.Mailbox == a.Mailbox
}

// readWishes returns what the user wishes of an account, which the row a is of. If there is no row,
// or it is damaged or of an earlier share, the wishes are zero.
func readWishes(tx *table.Tx, k viewerKey, a accountRow) (w ring.Wishes, err error) {
	row, found, err := wishes.Get(tx, k)
	if err != nil || !found || !row.isOf(a, k.user) {
		return w, err
	}
	err = wishes.Place(tx, k).Open(row.Sealed, &w)
	return w, err
}

func putWishes(tx *table.Tx, k viewerKey, a accountRow, w ring.Wishes) error {
	sealed, err := wishes.Place(tx, k).Seal(w)
	if err != nil {
		return err
	}
	return wishes.Put(tx, k, wishesRow{a.since(string(k.user)), a.Mailbox, w.AskWords(), sealed})
}

// asksWords reports whether a rule of somebody who sees the account asks for the first words of
// mail.
func asksWords(tx *table.Tx, account id, a accountRow) (bool, error) {
	for _, user := range a.viewers() {
		row, found, err := wishes.Get(tx, viewerKey{id(user), account})
		if err != nil || found && row.Words && row.isOf(a, id(user)) {
			return err == nil, err
		}
	}
	return false, nil
}

// visibleRowOf returns the row of an account that the user sees, or ErrNotFound.
func visibleRowOf(tx *table.Tx, user, account string) (accountRow, error) {
	a, err := accountRowOf(tx, account)
	if err == nil && !a.visible(user) {
		err = ErrNotFound
	}
	return a, err
}

// Wishes returns what the user wishes of the account, with mutes that have ended since the last
// edit, but without those of removed devices. It returns ErrNotFound unless the user sees the
// account.
func (s Accounts) Wishes(user, account string) (w ring.Wishes, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		a, err := visibleRowOf(tx, user, account)
		if err != nil {
			return err
		}
		if w, err = readWishes(tx, viewerKey{id(user), id(account)}, a); err != nil {
			return err
		}
		w.Mutes, err = mutesLeft(tx, id(user), w.Mutes)
		return err
	})
	return w, err
}

// mutesLeft returns the mutes of the user without those of devices that the user no longer has.
func mutesLeft(tx *table.Tx, user id, mutes []ring.Mute) (left []ring.Mute, err error) {
	for _, m := range mutes {
		there := m.Device == ""
		if !there {
			if there, err = devices.Has(tx, deviceKey{user, id(m.Device)}); err != nil {
				return nil, err
			}
		}
		if there {
			left = append(left, m)
		}
	}
	return left, nil
}

// SetWishes replaces the wishes of the user for the account, but for the mutes, which stay. It
// returns the wishes as they are then. It returns ErrStale if w.Revision is not that of the stored
// wishes, and ErrNotFound unless the user sees the account. Wishes end with the share, and if the
// account becomes another mailbox. Held mail is decided again at once, also after Mute and Unmute.
// If many devices of the user hold mail, that takes several transactions.
func (s Accounts) SetWishes(user, account string, w ring.Wishes, now time.Time) (ring.Wishes, error) {
	return s.editWishes(user, account, now, func(_ *table.Tx, is ring.Wishes) (ring.Wishes, error) {
		if is.Revision != w.Revision {
			return is, ErrStale
		}
		edited := w
		edited.Revision, edited.RulesSince, edited.Mutes = is.Revision+1, is.RulesSince, is.Mutes
		same, err := areSame(ring.Wishes{People: w.People, Rules: w.Rules, Otherwise: w.Otherwise}, ring.Wishes{People: is.People, Rules: is.Rules, Otherwise: is.Otherwise})
		if !same {
			edited.RulesSince = edited.Revision
		}
		return edited, err
	})
}

// areSame reports whether two wishes are the same in a row of the store.
func areSame(a, b any) (bool, error) {
	one, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	other, err := json.Marshal(b)
	return bytes.Equal(one, other), err
}

// Mute adds a mute to what the user wishes of the account, with a new id. It replaces one of the
// same on the same device. It does not change the revision, because SetWishes leaves mutes alone.
// It returns a FullError if there are ring.MaxMutes, and ErrNotFound unless the user sees the
// account and has the device.
func (s Accounts) Mute(user, account string, m ring.Mute, now time.Time) (ring.Mute, error) {
	m.ID, m.Since = newID(), now
	_, err := s.editWishes(user, account, now, func(tx *table.Tx, w ring.Wishes) (ring.Wishes, error) {
		if m.Device != "" {
			there, err := devices.Has(tx, deviceKey{id(user), id(m.Device)})
			if err == nil && !there {
				err = ErrNotFound
			}
			if err != nil {
				return w, err
			}
		}
		w.Mutes = slices.DeleteFunc(slices.Clone(w.Mutes), func(o ring.Mute) bool { return mutesSame(m, o) })
		if len(w.Mutes) >= ring.MaxMutes {
			return w, &FullError{ring.MaxMutes}
		}
		w.Mutes = append(w.Mutes, m)
		return w, nil
	})
	if err != nil {
		return ring.Mute{}, err
	}
	return m, nil
}

// mutesSame reports whether two mutes are of the same on the same device.
func mutesSame(a, b ring.Mute) bool {
	sameThread := len(a.Thread) == 0 && len(b.Thread) == 0 || len(a.Thread) > 0 && len(b.Thread) > 0 && a.Thread[0] == b.Thread[0]
	return a.Of == b.Of && a.Device == b.Device && a.Sender == b.Sender && sameThread
}

// Unmute removes a mute. It returns ErrNotFound if the user has no such mute of the account.
func (s Accounts) Unmute(user, account, mute string, now time.Time) error {
	_, err := s.editWishes(user, account, now, func(_ *table.Tx, w ring.Wishes) (ring.Wishes, error) {
		before := len(w.Mutes)
		w.Mutes = slices.DeleteFunc(slices.Clone(w.Mutes), func(m ring.Mute) bool { return m.ID == mute })
		if len(w.Mutes) == before {
			return w, ErrNotFound
		}
		return w, nil
	})
	return err
}

// editWishes writes what edit returns for the wishes that are there, without mutes that have ended
// or whose device is removed. Held mail of the user's devices is decided again.
func (s Accounts) editWishes(user, account string, now time.Time, edit func(*table.Tx, ring.Wishes) (ring.Wishes, error)) (w ring.Wishes, err error) {
	k, written, left := viewerKey{id(user), id(account)}, false, []id(nil)
	err = s.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		if !written {
			if w, err = writeWishes(set.tx, k, now, edit); err != nil {
				return false, err
			}
			if left, err = devicesOf(set.tx, k.user); err != nil {
				return false, err
			}
		}
		rest, err := set.endHolds(left, account+heldBack)
		if err == nil {
			written, left = true, rest
		}
		return len(rest) == 0, err
	})
	if err != nil {
		return ring.Wishes{}, err
	}
	return w, nil
}

// devicesOf returns the devices of a user.
func devicesOf(tx *table.Tx, user id) (list []id, err error) {
	keys, err := devices.Keys(tx, table.Under(user), table.NoLimit)
	for _, k := range keys {
		list = append(list, k.device)
	}
	return list, err
}

func writeWishes(tx *table.Tx, k viewerKey, now time.Time, edit func(*table.Tx, ring.Wishes) (ring.Wishes, error)) (w ring.Wishes, err error) {
	a, err := visibleRowOf(tx, string(k.user), string(k.account))
	if err != nil {
		return w, err
	}
	is, err := readWishes(tx, k, a)
	if err != nil {
		return w, err
	}
	if is.Mutes, err = mutesLeft(tx, k.user, is.Mutes); err != nil {
		return w, err
	}
	is.Mutes = slices.DeleteFunc(is.Mutes, func(m ring.Mute) bool { return !m.Until.IsZero() && !now.Before(m.Until) })
	if w, err = edit(tx, is); err != nil {
		return w, err
	}
	return w, putWishes(tx, k, a, w)
}

// Wishes returns the wishes of the device. It returns ErrNotFound if there is no such device.
func (s Devices) Wishes(device string) (w ring.DeviceWishes, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		at, err := deviceRowOf(tx, id(device))
		if err != nil {
			return err
		}
		w, err = readDeviceWishes(tx, at.Key)
		return err
	})
	return w, err
}

func readDeviceWishes(tx *table.Tx, k deviceKey) (w ring.DeviceWishes, err error) {
	row, found, err := deviceWishes.Get(tx, k)
	if err == nil && found {
		err = deviceWishes.Place(tx, k).Open(row.Sealed, &w)
	}
	return w, err
}

// SetWishes replaces the wishes of the device, and returns them as they are then. It returns
// ErrStale if w.Revision is not that of the stored wishes, and ErrNotFound if there is no such
// device. Wishes end with the device, and if it becomes that of another user. Held mail is decided
// again at once.
func (s Devices) SetWishes(device string, w ring.DeviceWishes, now time.Time) (out ring.DeviceWishes, err error) {
	err = s.updateQueues(now, func(set *queueSet) error {
		at, err := deviceRowOf(set.tx, id(device))
		if err != nil {
			return err
		}
		is, err := readDeviceWishes(set.tx, at.Key)
		if err == nil && is.Revision != w.Revision {
			err = ErrStale
		}
		if err != nil {
			return err
		}
		if out, err = editedDeviceWishes(is, w); err != nil {
			return err
		}
		sealed, err := deviceWishes.Place(set.tx, at.Key).Seal(out)
		if err != nil {
			return err
		}
		_, err = set.endHolds([]id{at.Key.device}, "")
		return errors.Join(err, deviceWishes.Put(set.tx, at.Key, deviceWishesRow{sealed}))
	})
	if err != nil {
		return ring.DeviceWishes{}, err
	}
	return out, nil
}

// editedDeviceWishes returns the wishes w in place of those that are there.
func editedDeviceWishes(is, w ring.DeviceWishes) (ring.DeviceWishes, error) {
	w.Revision, w.QuietSince, w.FoldersSince = is.Revision+1, is.QuietSince, is.FoldersSince
	sameQuiet, err := areSame(w.Quiet, is.Quiet)
	if err != nil {
		return w, err
	}
	if !sameQuiet {
		w.QuietSince = w.Revision
	}
	sameFolders, err := areSame(w.Folders, is.Folders)
	if !sameFolders {
		w.FoldersSince = w.Revision
	}
	return w, err
}

// purgeWishes removes the wishes of shares that have ended. Those for a damaged account stay: it
// may be restored.
func (c *core) purgeWishes(ctx context.Context, _ time.Time) error {
	return purgeEnded(ctx, c.db, wishes, func(tx *table.Tx, k viewerKey, row wishesRow) (bool, error) {
		a, whole, err := accounts.Get(tx, k.account)
		if err != nil || whole {
			return whole && !row.isOf(a, k.user), err
		}
		there, err := accounts.Has(tx, k.account)
		return !there, err
	})
}
