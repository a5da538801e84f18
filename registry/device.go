package registry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"idlepush/registry/table"
)

// Devices is what users read and edit of their devices.
type Devices struct{ *core }

// rings reports whether mail of the account, which the device's user may see, rings the device.
func (row deviceRow) isNotifiedOf(account id) bool {
	return row.Accounts == nil || slices.Contains(row.Accounts, string(account))
}

// readDevice returns a device and its row, or ErrNotFound.
func readDevice(tx *table.Tx, device string) (Device, table.Row[deviceKey, deviceRow], error) {
	at, found, err := devicesID.Row(tx, id(device))
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return Device{}, at, err
	}
	d, _, err := unsealDevice(tx, at)
	return d, at, err
}

// unsealDevice returns the device of a row, and its queue. If its address, keys and parameters
// cannot be unsealed, it returns the device without them, and an error that wraps errSecrets.
func unsealDevice(tx *table.Tx, at table.Row[deviceKey, deviceRow]) (Device, queueRow, error) {
	row := at.Value
	q, _, err := queues.Get(tx, at.Key.device)
	if err != nil {
		return Device{}, q, err
	}
	d := Device{ID: string(at.Key.device), Revision: row.Revision, User: string(at.Key.user), Name: row.Name,
		Session: row.Session, Transport: row.Transport, Lane: q.Lane, MustShow: q.MustShow, Content: row.Content,
		Accounts: row.Accounts, Created: row.Created, Registered: row.Registered, Status: q.Status, Due: q.Due}
	var secrets deviceSecrets
	if err := devices.Place(tx, at.Key).Open(row.Secrets, &secrets); err != nil {
		return d, q, fmt.Errorf("%w: %w", errSecrets, err)
	}
	d.Address, d.Keys, d.Params = Secret(secrets.Address), (*Keys)(secrets.Keys), secrets.Params
	return d, q, nil
}

// errSecrets reports that only the sealed column of a device is damaged.
var errSecrets = errors.New("the address of a device cannot be read")

// deviceForDisplay is unsealDevice for callers that only show the device. If its address is damaged,
// they see the device without it, until it is registered anew or removed.
func deviceForDisplay(tx *table.Tx, at table.Row[deviceKey, deviceRow]) (Device, error) {
	d, _, err := unsealDevice(tx, at)
	if errors.Is(err, errSecrets) {
		err = nil
	}
	return d, err
}

func putDevice(tx *table.Tx, d Device) error {
	k := deviceKey{id(d.User), id(d.ID)}
	row, err := d.row(tx, k)
	if err != nil {
		return err
	}
	return devices.Put(tx, k, row)
}

// row returns the row of the device under k.
func (d Device) row(tx *table.Tx, k deviceKey) (deviceRow, error) {
	sealed, err := devices.Place(tx, k).Seal(deviceSecrets{string(d.Address), (*sealedKeys)(d.Keys), d.Params})
	return deviceRow{Revision: d.Revision, Name: d.Name, Session: d.Session, Transport: d.Transport,
		Address: d.addressDigest(), Secrets: sealed, Content: d.Content, Accounts: d.Accounts, Created: d.Created, Registered: d.Registered}, err
}

// checkLane returns an error if the device has no lane. Nothing could pause it then.
func (d Device) checkLane() error {
	if d.Lane == "" {
		return fmt.Errorf("a device of transport %q has no lane: its transport must name one, which is a bug in idlepush", d.Transport)
	}
	return nil
}

// Put registers a device: an address that is known keeps its id and queue, whoever had it, and
// takes the newer keys and settings; any other gets a new id. d.Status.State says whether it has
// been proved; empty: that stays as it is, and a new device is unproven. d.Lane and d.MustShow are
// what its transport says of it; an empty lane is an error. d.ID and d.Revision are not looked at.
// ErrNotFound: the user is gone; ErrDenied: the session in which it is made, if any, has ended.
func (s Devices) Put(d Device, session string, now time.Time) (_ Device, created bool, err error) {
	if err := d.checkLane(); err != nil {
		return Device{}, false, err
	}
	var out Device
	err = s.db.Update(func(tx *table.Tx) error {
		out = d
		if _, err := checkCreator(tx, d.User, session, now); err != nil {
			return err
		}
		var old Device
		at, found, err := devicesAt.Row(tx, d.addressDigest())
		if err != nil {
			return err
		}
		if found {
			if old, err = deviceForDisplay(tx, at); err != nil {
				return err
			}
			out.ID, out.Revision, out.Created = old.ID, old.Revision, old.Created
		} else {
			out.ID, out.Created = newID(), now
		}
		created = !found
		return replaceDevice(tx, &out, old, now, true)
	})
	if err != nil {
		return Device{}, false, err
	}
	return out, created, nil
}

// Update replaces the device d.ID, also its address; an empty d.Status.State leaves its status as
// it is, and an empty lane is an error. ErrStale: it was edited since d was read; ErrTaken: another device has that address;
// ErrNotFound: the device is no longer there, or no longer its user's; ErrDenied: the session into
// which it is moved has ended.
func (s Devices) Update(d Device, now time.Time) (Device, error) {
	if err := d.checkLane(); err != nil {
		return Device{}, err
	}
	var out Device
	err := s.db.Update(func(tx *table.Tx) error {
		out = d
		old, _, err := readDevice(tx, d.ID)
		if err != nil {
			return err
		}
		if old.User != d.User {
			return ErrNotFound
		}
		if old.Revision != d.Revision {
			return ErrStale
		}
		k, found, err := devicesAt.Get(tx, d.addressDigest())
		if err != nil {
			return err
		}
		if found && string(k.device) != d.ID {
			return ErrTaken
		}
		if d.Session != old.Session {
			if _, err := checkCreator(tx, d.User, d.Session, now); err != nil {
				return err
			}
		}
		out.Created, out.Registered = old.Created, old.Registered
		return replaceDevice(tx, &out, old, now, !d.SameAddress(old))
	})
	if err != nil {
		return Device{}, err
	}
	return out, nil
}

// replaceDevice writes a device in the place of old, if that has an id, and its queue's lane. What
// waits for one whose address the app has just confirmed, that is in another lane now, or no longer
// suspect, is due now.
func replaceDevice(tx *table.Tx, d *Device, old Device, now time.Time, confirmed bool) error {
	q, _, err := queues.Get(tx, id(d.ID))
	if err != nil {
		return err
	}
	if confirmed {
		d.Registered = now
	}
	d.Revision++
	was := q.Status.State
	switch d.Status.State {
	case "":
		if d.Status = q.Status; was == "" {
			d.Status = Status{State: Unproven, Since: now}
		}
	case was:
		d.Status.Since = q.Status.Since
	default:
		d.Status.Since = now
	}
	if d.Status.State == Proven && d.Status.Proof.IsZero() {
		d.Status.Proof = q.Status.Proof
	}
	lookNow := confirmed || q.Lane != d.Lane || was == Suspect && d.Status.State == Proven
	q.Status, q.Lane, q.MustShow = d.Status, d.Lane, d.MustShow
	if lookNow && !q.Due.IsZero() {
		q.Due = now
	}
	if old.ID != "" && old.User != d.User {
		if err := devices.Delete(tx, deviceKey{id(old.User), id(old.ID)}); err != nil {
			return err
		}
	}
	if err := putDevice(tx, *d); err != nil {
		return err
	}
	return queues.Put(tx, id(d.ID), q)
}

// Get returns the device of that id, or ErrNotFound.
func (s Devices) Get(device string) (d Device, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		at, found, err := devicesID.Row(tx, id(device))
		if err == nil && !found {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		d, err = deviceForDisplay(tx, at)
		return err
	})
	return d, err
}

// At returns the device that has the address of d, or ErrNotFound.
func (s Devices) At(d Device) (found Device, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		at, ok, err := devicesAt.Row(tx, d.addressDigest())
		if err == nil && !ok {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		found, err = deviceForDisplay(tx, at)
		return err
	})
	return found, err
}

// List returns the user's devices, oldest first; everybody's if user is empty.
func (s Devices) List(user string) (list []Device, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		within := table.Range{}
		if user != "" {
			within = table.Under(id(user))
		}
		rows, err := devices.First(tx, within, table.NoLimit)
		if err != nil {
			return err
		}
		for _, at := range rows {
			d, err := deviceForDisplay(tx, at)
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Device) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list, err
}

// Remove removes the device, and ends the session that it was registered in, unless that is the
// session that asks, which may be empty: a phone that was lost is not to register itself anew when
// it is opened. What waits for it is not sent, and goes with the next Purge. ErrStale: it was
// edited since d was read.
func (s Devices) Remove(d Device, session string) error {
	return s.db.Update(func(tx *table.Tx) error {
		at, found, err := devicesID.Row(tx, id(d.ID))
		if err == nil && !found {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		if at.Value.Revision != d.Revision {
			return ErrStale
		}
		if there := at.Value.Session; there != "" && there != session {
			t, err := sessionOf(tx, at.Key.user, there)
			if err == nil {
				err = endSession(tx, at.Key.user, t.Key)
			}
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		return removeDevice(tx, at.Key)
	})
}

func removeDevice(tx *table.Tx, k deviceKey) error {
	if err := queues.Delete(tx, k.device); err != nil {
		return err
	}
	return devices.Delete(tx, k)
}
