package registry

import (
	"fmt"
	"math"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// deviceRow is a device with its sealed address and keys.
type deviceRow struct {
	Device
	Sealed []byte
}

type deviceSecrets struct {
	Token      string      `json:",omitempty"`
	Endpoint   string      `json:",omitempty"`
	Keys       sealedKeys  `json:",omitzero"`
	Encryption *sealedKeys `json:",omitempty"`
}

// sealedKeys are Keys that marshal.
type sealedKeys struct {
	P256dh string
	Auth   string
}

// queueRow is what moves about a device: when it is due, its lane, its status.
type queueRow struct {
	Due     time.Time `json:",omitzero"`  // zero: nothing is queued that goes by itself
	Holding bool      `json:",omitempty"` // Due is when the first hold ends: what comes in another line need not wait for it
	Lane    string
	Status  Status
	Lines   map[string]lineRow `json:",omitempty"` // by line
}

func (s *Store) putDevice(tx *bolt.Tx, d Device) {
	s.note(DeviceChanged, d.ID, d.User)
	secrets := deviceSecrets{Token: string(d.Token), Encryption: (*sealedKeys)(d.Encryption)}
	if d.Subscription != nil {
		secrets.Endpoint, secrets.Keys = string(d.Subscription.Endpoint), sealedKeys(d.Subscription.Keys)
	}
	put(tx.Bucket(devices), []byte(d.ID), deviceRow{d, s.seals.seal("device/"+d.ID, secrets)})
}

func (s *Store) device(tx *bolt.Tx, id string) (Device, error) {
	var row deviceRow
	found, err := get(tx.Bucket(devices), []byte(id), &row)
	if err != nil {
		return Device{}, err
	}
	if !found {
		return Device{}, ErrNotFound
	}
	var secrets deviceSecrets
	if err := s.seals.open("device/"+id, row.Sealed, &secrets); err != nil {
		return Device{}, err
	}
	d := row.Device
	d.Token, d.Encryption = Secret(secrets.Token), (*Keys)(secrets.Encryption)
	if secrets.Endpoint != "" {
		d.Subscription = &Subscription{Endpoint: Secret(secrets.Endpoint), Keys: Keys(secrets.Keys)}
	}
	q, err := queue(tx, id)
	d.Status, d.Due = q.Status, q.Due
	return d, err
}

func ownerKey(d Device) []byte { return []byte(d.User + "/" + d.ID) }

// devicesOf gives a user's devices, without their addresses, keys and status: it serves to find receivers.
func devicesOf(tx *bolt.Tx, user string) ([]Device, error) {
	var list []Device
	prefix := []byte(user + "/")
	for _, k := range prefixed(tx.Bucket(owners), prefix, math.MaxInt) {
		var row deviceRow
		if _, err := get(tx.Bucket(devices), k[len(prefix):], &row); err != nil {
			return nil, err
		}
		list = append(list, row.Device)
	}
	return list, nil
}

// ringing gives the devices that mail of the account rings.
func ringing(tx *bolt.Tx, a Account) ([]Device, error) {
	var list []Device
	seen := a.viewers()
	slices.Sort(seen)
	for _, user := range slices.Compact(seen) {
		own, err := devicesOf(tx, user)
		if err != nil {
			return nil, err
		}
		list = append(list, own...)
	}
	return slices.DeleteFunc(list, func(d Device) bool { return !d.Rings(a) }), nil
}

func queue(tx *bolt.Tx, device string) (queueRow, error) {
	var q queueRow
	_, err := get(tx.Bucket(queues), []byte(device), &q)
	return q, err
}

// PutDevice registers a device: an address that is known keeps its id and queue, whoever had it, and takes the newer
// keys and settings; any other gets a new id. d.Status.State says whether it has been proved; empty: that stays as it is,
// and a new device is unproven. d.ID is not looked at.
func (s *Store) PutDevice(d Device, now time.Time) (_ Device, created bool, err error) {
	address := d.Address()
	err = s.update(func(tx *bolt.Tx) error {
		var old Device
		if id := tx.Bucket(addresses).Get(address[:]); id != nil {
			if old, err = s.device(tx, string(id)); err != nil {
				return err
			}
			d.ID, d.Created = old.ID, old.Created
		} else {
			d.ID, d.Created, created = newID(), now, true
		}
		return s.store(tx, &d, old, now, true)
	})
	if err != nil {
		return Device{}, false, err
	}
	s.outbox.raise()
	return d, created, nil
}

// UpdateDevice replaces the device d.ID, also its address; an empty d.Status.State leaves its status as it is. ErrTaken:
// another device has that address; ErrNotFound: the device is no longer there, or no longer its user's.
func (s *Store) UpdateDevice(d Device, now time.Time) (Device, error) {
	address := d.Address()
	err := s.update(func(tx *bolt.Tx) error {
		old, err := s.device(tx, d.ID)
		if err != nil {
			return err
		}
		if old.User != d.User {
			return ErrNotFound
		}
		if id := tx.Bucket(addresses).Get(address[:]); id != nil && string(id) != d.ID {
			return ErrTaken
		}
		d.Created, d.Registered = old.Created, old.Registered
		return s.store(tx, &d, old, now, !d.SameAddress(old))
	})
	if err != nil {
		return Device{}, err
	}
	s.outbox.raise()
	return d, nil
}

// store writes a device in the place of old, if that has an id, its address and its queue's lane. What waits for one whose
// address the app has just confirmed, that is in another lane now, or no longer suspect, is due now.
func (s *Store) store(tx *bolt.Tx, d *Device, old Device, now time.Time, confirmed bool) error {
	q, err := queue(tx, d.ID)
	if err != nil {
		return err
	}
	if confirmed {
		d.Registered = now
	}
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
	again := confirmed || q.Lane != d.Lane() || was == Suspect && d.Status.State == Proven
	q.Status, q.Lane = d.Status, d.Lane()
	at := q.Due
	if again && !at.IsZero() {
		if at, err = laneOpens(tx, q.Lane, now); err != nil {
			return err
		}
	}
	address, former := d.Address(), old.Address()
	if old.ID != "" {
		must(tx.Bucket(addresses).Delete(former[:]))
		must(tx.Bucket(owners).Delete(ownerKey(old)))
		s.note(DeviceChanged, d.ID, old.User) // who may be another
	}
	s.putDevice(tx, *d)
	must(tx.Bucket(addresses).Put(address[:], []byte(d.ID)))
	must(tx.Bucket(owners).Put(ownerKey(*d), nil))
	setDue(tx, d.ID, q, at)
	return nil
}

// Device gives the device of that id, or ErrNotFound.
func (s *Store) Device(id string) (d Device, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		d, err = s.device(tx, id)
		return err
	})
	return d, err
}

// DeviceAt gives the device that has the address of d, or ErrNotFound.
func (s *Store) DeviceAt(d Device) (found Device, err error) {
	address := d.Address()
	err = s.view(func(tx *bolt.Tx) error {
		found, err = s.device(tx, string(tx.Bucket(addresses).Get(address[:])))
		return err
	})
	return found, err
}

// Devices gives the user's devices, oldest first; everybody's where user is empty.
func (s *Store) Devices(user string) (list []Device, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		bucket, prefix := devices, ""
		if user != "" {
			bucket, prefix = owners, user+"/"
		}
		for _, k := range prefixed(tx.Bucket(bucket), []byte(prefix), math.MaxInt) {
			d, err := s.device(tx, string(k[len(prefix):]))
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Device) int { return a.Created.Compare(b.Created) })
	return list, err
}

// RemoveDevice removes the device and its queue, and ends the session that it was registered in, unless that is the session that asks, which may be
// empty: a phone that was lost is not to register itself anew when it is opened.
func (s *Store) RemoveDevice(id, session string) error {
	return s.update(func(tx *bolt.Tx) error {
		d, err := s.device(tx, id)
		if err != nil {
			return err
		}
		var there [][]byte
		if d.Session != session {
			if there, err = tokensWhere(tx, func(t Token) bool { return t.Session && t.ID == d.Session }); err != nil {
				return err
			}
		}
		var codes [][]byte
		if len(there) > 0 {
			if codes, err = invitesWhere(tx, forDevicesOf(d.User)); err != nil {
				return err
			}
		}
		for _, hash := range there {
			must(tx.Bucket(tokens).Delete(hash))
			s.note(SessionChanged, d.Session, d.User)
		}
		s.takeBack(tx, codes)
		return s.removeDevice(tx, d)
	})
}

// removeDevice takes a device out of every bucket. What its queue holds beyond a bound is left to Purge, and is not sent.
func (s *Store) removeDevice(tx *bolt.Tx, d Device) error {
	q, err := queue(tx, d.ID)
	if err != nil {
		return err
	}
	s.note(DeviceChanged, d.ID, d.User)
	address := d.Address()
	must(tx.Bucket(addresses).Delete(address[:]))
	must(tx.Bucket(owners).Delete(ownerKey(d)))
	setDue(tx, d.ID, q, time.Time{})
	must(tx.Bucket(queues).Delete([]byte(d.ID)))
	must(tx.Bucket(devices).Delete([]byte(d.ID)))
	for _, k := range prefixed(tx.Bucket(outbox), []byte(d.ID), mostPurged) {
		must(tx.Bucket(outbox).Delete(k))
	}
	return nil
}

// forget removes a device whose address is gone and tells its owner's other devices.
func (s *Store) forget(tx *bolt.Tx, d Device, reason string, now time.Time) error {
	others, err := devicesOf(tx, d.User)
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(o Device) bool { return o.ID == d.ID })
	n := Notification{ID: stableID(string(AttentionKind), d.ID, now.String()), Kind: AttentionKind, User: d.User,
		At: now, Expires: now.Add(AttentionKind.Lifetime()), Code: "device_gone",
		Text: fmt.Sprintf("%s gets no more notifications: %s", d.Name, reason)}
	if err := s.enqueue(tx, n, others, now); err != nil {
		return err
	}
	return s.removeDevice(tx, d)
}
