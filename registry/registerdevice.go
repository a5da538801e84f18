package registry

import (
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Register registers a device. If its address is known, that device keeps its id and queue,
// whichever user had it, and gets the new keys and settings. Otherwise it gets a new id. Register
// ends the user's notices of devices that are gone.
//
// d.Status.State says whether a push has reached the device. If it is empty, the state stays as it
// is, and a new device is unproven. d.Lane, which must not be empty, and d.MustShow come from its
// transport. by is the session or token by which it is registered, or empty. d.ID, d.Revision and
// d.By are ignored.
//
// A token of device scope cannot raise the level of its device, nor get more by another one: then d
// gets the level of that. Register returns ErrNotFound if there is no such user, ErrDenied if by
// has ended, ErrTaken if by is a token of device scope that has another device, and a FullError if
// the user has as many as one may have.
func (s Devices) Register(d idlepush.Device, by string, now time.Time) (_ idlepush.Device, created bool, err error) {
	out := d
	err = s.db.Update(func(tx *table.Tx) error {
		out = d
		u, maker, err := checkMaker(tx, d.User, by, now)
		if err != nil {
			return err
		}
		if err := limitToToken(tx, maker, &out); err != nil {
			return err
		}
		if u.endNotices(codeDeviceGone, "") {
			if err := users.Put(tx, id(d.User), u); err != nil {
				return err
			}
		}
		out.By = by
		old, err := s.register(tx, &out, now)
		created = old.ID == ""
		return err
	})
	return registered(out, created, err)
}

// RegisterByAdmin is Register for the admin token. It ends no notice. If the device is new, or gets
// other mail or more of it, RegisterByAdmin tells the user's other devices, or adds a notice. It
// returns ErrTaken if the address is that of a device of another user, or of one with other keys.
func (s Devices) RegisterByAdmin(d idlepush.Device, now time.Time) (_ idlepush.Device, created bool, err error) {
	out := d
	err = s.updateQueues(now, func(set *queueSet) error {
		out = d
		if _, err := getUser(set.tx, d.User); err != nil {
			return err
		}
		at, _, err := devicesAt.Row(set.tx, addressDigest(d))
		if err != nil {
			return err
		}
		out.By = at.Value.By // it is taken from nobody
		old, err := s.register(set.tx, &out, now)
		if created = old.ID == ""; err == nil && !created && (old.User != d.User || !d.SameAddress(old)) {
			err = ErrTaken
		}
		if err != nil {
			return err
		}
		return tellOfDevice(set, out, old)
	})
	return registered(out, created, err)
}

func registered(d idlepush.Device, created bool, err error) (idlepush.Device, bool, error) {
	if err != nil {
		return idlepush.Device{}, false, err
	}
	return d, created, nil
}

// register writes the device: as a new one, or over the one that has its address, which it returns.
func (c *core) register(tx *table.Tx, d *idlepush.Device, now time.Time) (old idlepush.Device, err error) {
	if err := checkLane(*d); err != nil {
		return old, err
	}
	at, found, err := devicesAt.Row(tx, addressDigest(*d))
	if err != nil {
		return old, err
	}
	if d.ID, d.Revision, d.Created = newID(), 0, now; found {
		if old, err = deviceForDisplay(tx, at); err != nil {
			return old, err
		}
		d.ID, d.Revision, d.Created = old.ID, old.Revision, old.Created
	}
	if old.User != d.User {
		if err := checkBound(tx, c.bounds.devices, d.User, countDevices); err != nil {
			return old, err
		}
	}
	return old, replaceDevice(tx, d, old, now, true)
}

// limitToToken returns ErrTaken if the token is of device scope and has another device than d. It
// lowers the level of d to that of the device which the token has, or had last, and to that of a
// device of the user with this address: an app does not undo what the person has chosen on the
// page.
func limitToToken(tx *table.Tx, t tokenRow, d *idlepush.Device) error {
	if t.Scope != idlepush.ScopeDevice {
		return nil
	}
	own, err := devicesBy(tx, t)
	if err != nil {
		return err
	}
	at, found, err := devicesAt.Row(tx, addressDigest(*d))
	if err != nil {
		return err
	}
	if len(own) > 0 && (!found || at.Key != own[0]) {
		return ErrTaken
	}
	if len(own) == 0 && t.Content != "" && !t.Content.Allows(d.Content) {
		d.Content = t.Content
	}
	if found && at.Key.user == id(t.User) && !at.Value.Content.Allows(d.Content) {
		d.Content = at.Value.Content
	}
	return nil
}
