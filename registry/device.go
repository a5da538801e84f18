package registry

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Devices is the part of the store about users' devices.
type Devices struct{ *core }

// isNotifiedOf reports whether mail of the account notifies the device. The device's user must be
// one who may see the account.
func (row deviceRow) isNotifiedOf(account id) bool {
	return row.Accounts == nil || slices.Contains(row.Accounts, string(account))
}

// deviceRowOf returns the row of a device with its key, or ErrNotFound.
func deviceRowOf(tx *table.Tx, device id) (table.Row[deviceKey, deviceRow], error) {
	at, found, err := devicesID.Row(tx, device)
	if err == nil && !found {
		err = ErrNotFound
	}
	return at, err
}

// unsealDevice returns the device of a row, and its queue. If its address, keys and parameters
// cannot be unsealed, it returns the device without them, and an error that wraps errSecrets.
func unsealDevice(tx *table.Tx, at table.Row[deviceKey, deviceRow]) (idlepush.Device, queueRow, error) {
	row := at.Value
	q, _, err := queues.Get(tx, at.Key.device)
	if err != nil {
		return idlepush.Device{}, q, err
	}
	d := idlepush.Device{ID: string(at.Key.device), Revision: row.Revision, User: string(at.Key.user), Name: row.Name,
		By: row.By, Transport: row.Transport, Lane: q.Lane, MustShow: q.MustShow, Content: row.Content,
		Accounts: slices.Clone(row.Accounts), Created: row.Created, Registered: row.Registered, Status: q.Status.status(), Chain: q.chain(), Due: q.Due}
	var secrets deviceSecrets
	if err := devices.Place(tx, at.Key).Open(row.Secrets, &secrets); err != nil {
		return d, q, fmt.Errorf("%w: %w", errSecrets, err)
	}
	d.Address, d.Keys, d.Params = idlepush.Secret(secrets.Address), (*idlepush.Keys)(secrets.Keys), secrets.Params
	return d, q, nil
}

// errSecrets reports that only the sealed column of a device is damaged.
var errSecrets = errors.New("the address of a device cannot be read")

// deviceForDisplay is unsealDevice for callers that only show the device. If its address is
// damaged, they see the device without it, until it is registered anew or removed.
func deviceForDisplay(tx *table.Tx, at table.Row[deviceKey, deviceRow]) (idlepush.Device, error) {
	d, _, err := unsealDevice(tx, at)
	if errors.Is(err, errSecrets) {
		err = nil
	}
	return d, err
}

func putDevice(tx *table.Tx, d idlepush.Device) error {
	k := deviceKey{id(d.User), id(d.ID)}
	row, err := sealDevice(tx, k, d)
	if err != nil {
		return err
	}
	return devices.Put(tx, k, row)
}

// sealDevice returns the row of the device under k.
func sealDevice(tx *table.Tx, k deviceKey, d idlepush.Device) (deviceRow, error) {
	sealed, err := devices.Place(tx, k).Seal(deviceSecrets{string(d.Address), (*sealedKeys)(d.Keys), d.Params})
	return deviceRow{Revision: d.Revision, Name: d.Name, By: d.By, Transport: d.Transport,
		Address: addressDigest(d), Secrets: sealed, Content: d.Content, Accounts: d.Accounts, Created: d.Created, Registered: d.Registered}, err
}

// addressDigest returns the SHA-256 of transport and address, by which a phone is recognized.
func addressDigest(d idlepush.Device) digest {
	return sha256.Sum256([]byte(string(d.Transport) + "\x00" + string(d.Address)))
}

// checkLane returns an error if the device has no lane. Nothing could pause it then.
func checkLane(d idlepush.Device) error {
	if d.Lane == "" {
		return fmt.Errorf("a device of transport %q has no lane: its transport must name one, which is a bug in idlepush", d.Transport)
	}
	return nil
}

// Update replaces the device d.ID, also its address. If d.Status.State is empty, its status stays
// as it is. d.Lane must not be empty.
//
// It returns ErrStale if the device was edited since d was read, and ErrTaken if another device has
// that address. It returns ErrNotFound if the device is removed or belongs to another user, and
// ErrDenied if d.By is another that has ended.
func (s Devices) Update(d idlepush.Device, now time.Time) (idlepush.Device, error) {
	return s.UpdateAs(d, "", now)
}

// UpdateAs is Update by a session or token of the user. It returns ErrDenied if that has ended.
func (s Devices) UpdateAs(d idlepush.Device, by string, now time.Time) (idlepush.Device, error) {
	out := d
	err := s.db.Update(func(tx *table.Tx) error {
		out = d
		if err := checkAsker(tx, d.User, by, now); err != nil {
			return err
		}
		_, err := updateDevice(tx, &out, now)
		return err
	})
	if err != nil {
		return idlepush.Device{}, err
	}
	return out, nil
}

// UpdateByAdmin is Update for the admin token. It tells the user as RegisterByAdmin does.
func (s Devices) UpdateByAdmin(d idlepush.Device, now time.Time) (idlepush.Device, error) {
	out := d
	err := s.updateQueues(now, func(set *queueSet) error {
		out = d
		old, err := updateDevice(set.tx, &out, now)
		if err != nil {
			return err
		}
		return tellOfDevice(set, out, old)
	})
	if err != nil {
		return idlepush.Device{}, err
	}
	return out, nil
}

// tellOfDevice tells a user of what the admin token has done with the device, if that is sent other
// mail now, or more of it, or elsewhere than old.
func tellOfDevice(set *queueSet, d, old idlepush.Device) error {
	if d.User == old.User && d.SameAddress(old) && d.Content == old.Content && slices.Equal(d.Accounts, old.Accounts) {
		return nil
	}
	return tellOthers(set, id(d.User), id(d.ID), idlepush.Reason{Code: codeDeviceByAdmin}.With("device", d.Name), d.ID)
}

// updateDevice writes the device over the one with its id, which it returns.
func updateDevice(tx *table.Tx, d *idlepush.Device, now time.Time) (old idlepush.Device, err error) {
	if err := checkLane(*d); err != nil {
		return old, err
	}
	at, err := deviceRowOf(tx, id(d.ID))
	if err != nil {
		return old, err
	}
	if old, _, err = unsealDevice(tx, at); err != nil {
		return old, err
	}
	if old.User != d.User {
		return old, ErrNotFound
	}
	if old.Revision != d.Revision {
		return old, ErrStale
	}
	k, found, err := devicesAt.Get(tx, addressDigest(*d))
	if err != nil {
		return old, err
	}
	if found && string(k.device) != d.ID {
		return old, ErrTaken
	}
	if d.By != old.By {
		if _, _, err := checkMaker(tx, d.User, d.By, now); err != nil {
			return old, err
		}
	}
	d.Created, d.Registered = old.Created, old.Registered
	return old, replaceDevice(tx, d, old, now, !d.SameAddress(old))
}

// replaceDevice writes a device, which replaces old if that has an id, and the lane of its queue.
// The queue is due now if the app has just confirmed the address, if the lane changed, or if the
// device is no longer suspect.
func replaceDevice(tx *table.Tx, d *idlepush.Device, old idlepush.Device, now time.Time, confirmed bool) error {
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
		if d.Status = q.Status.status(); was == "" {
			d.Status = idlepush.Status{State: idlepush.StateUnproven, Since: now}
		}
	case was:
		d.Status.Since = q.Status.Since
	default:
		d.Status.Since = now
	}
	if d.Status.State == idlepush.StateProven && d.Status.Proof.IsZero() {
		d.Status.Proof = q.Status.Proof
	}
	lookNow := confirmed || q.Lane != d.Lane || was == idlepush.StateSuspect && d.Status.State == idlepush.StateProven
	q.Status, q.User, q.Lane, q.MustShow = statusRowOf(d.Status), id(d.User), d.Lane, d.MustShow
	q.Slow = q.Slow && d.SameAddress(old)
	if q.endHolds(now, ""); lookNow && !q.Due.IsZero() {
		q.Due = now
	}
	if old.ID != "" && old.User != d.User {
		k := deviceKey{id(old.User), id(old.ID)}
		if err := noteLevel(tx, k); err != nil {
			return err
		}
		if err := errors.Join(endUnconfirmed(tx, k, q.Chain.Told), devices.Delete(tx, k), deviceWishes.Delete(tx, k), trips.Delete(tx, k.device)); err != nil {
			return err
		}
		q.Chain = chainRow{}
	}
	if err := putDevice(tx, *d); err != nil {
		return err
	}
	if err := replaceMaker(tx, *d, old); err != nil {
		return err
	}
	return queues.Put(tx, id(d.ID), q)
}

// Get returns the device of that id, or ErrNotFound.
func (s Devices) Get(device string) (d idlepush.Device, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		at, err := deviceRowOf(tx, id(device))
		if err != nil {
			return err
		}
		d, err = deviceForDisplay(tx, at)
		return err
	})
	return d, err
}

// At returns the device that has the address of d, or ErrNotFound.
func (s Devices) At(d idlepush.Device) (found idlepush.Device, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		at, ok, err := devicesAt.Row(tx, addressDigest(d))
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

// List returns the user's devices, oldest first. It returns all devices if user is empty.
func (s Devices) List(user string) (list []idlepush.Device, err error) {
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
	slices.SortFunc(list, func(a, b idlepush.Device) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list, err
}

// Remove removes the device, and ends the session or the token of device scope by which it was
// registered, and what that has made: a lost phone must not register again when somebody opens
// it. It spares keep, the session or token that asks, which may be empty. What waits for the device
// is not sent, and the next Purge removes it. What does not fit one transaction takes several.
// Remove returns ErrStale if the device was edited since d was read.
func (s Devices) Remove(d idlepush.Device, keep string) error {
	left, user := "", id("")
	err := s.db.Update(func(tx *table.Tx) error {
		at, err := deviceRowOf(tx, id(d.ID))
		if err != nil {
			return err
		}
		if at.Value.Revision != d.Revision {
			return ErrStale
		}
		if err := removeDevice(tx, at.Key); err != nil {
			return err
		}
		user = at.Key.user
		left, err = endTokenOf(tx, user, at.Value.By, keep)
		return err
	})
	for err == nil && left != "" {
		err = s.db.Update(func(tx *table.Tx) (err error) {
			left, err = endTokenOf(tx, user, left, keep)
			return err
		})
	}
	return err
}

// noteLevel writes the level of a device that goes to the token of device scope that has it.
func noteLevel(tx *table.Tx, k deviceKey) error {
	d, found, err := devices.Get(tx, k)
	if err != nil || !found {
		return err
	}
	t, found, err := tokensID.Row(tx, id(d.By))
	if err != nil || !found || t.Value.Scope != idlepush.ScopeDevice {
		return err
	}
	t.Value.Content = d.Content
	return tokens.Put(tx, t.Key, t.Value)
}

func removeDevice(tx *table.Tx, k deviceKey) error {
	if err := noteLevel(tx, k); err != nil {
		return err
	}
	q, _, err := queues.Get(tx, k.device)
	if err == nil {
		err = endUnconfirmed(tx, k, q.Chain.Told)
	}
	if err != nil {
		return err
	}
	return errors.Join(queues.Delete(tx, k.device), devices.Delete(tx, k), deviceWishes.Delete(tx, k), trips.Delete(tx, k.device))
}
