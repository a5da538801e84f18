package registry

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
	"idlepush/ring"
)

// codeHeartbeat is what a heartbeat says. The case is how often there is one.
const codeHeartbeat codes.Code = "heartbeat"

// Heartbeats returns, by the ids of devices, which of them show heartbeats, and when.
func (o Outbox) Heartbeats() (list map[string]ring.Heartbeat, err error) {
	list = make(map[string]ring.Heartbeat)
	err = o.db.View(func(tx *table.Tx) error {
		rows, err := deviceWishes.First(tx, table.Range{}, table.NoLimit)
		for _, row := range rows {
			var w ring.DeviceWishes
			if failed := deviceWishes.Place(tx, row.Key).Open(row.Value.Sealed, &w); failed != nil {
				err = errors.Join(err, failed)
			} else if w.Heartbeat.Every != "" {
				list[string(row.Key.device)] = w.Heartbeat
			}
		}
		return err
	})
	return list, err
}

// RingHeartbeat queues a heartbeat for the device, which counts the notifications of its user's
// devices from since on. There is one a day: if it exists, RingHeartbeat does nothing. It returns
// ErrNotFound if there is no such device.
func (o Outbox) RingHeartbeat(device string, every ring.Every, day string, since, now time.Time) error {
	stable := stableID(ring.KindHeartbeat, device, day)
	var n idlepush.Notification
	err := o.db.View(func(tx *table.Tx) error {
		at, err := deviceRowOf(tx, id(device))
		if err != nil {
			return err
		}
		n = idlepush.Notification{ID: stable, Kind: ring.KindHeartbeat, User: string(at.Key.user), At: now}
		n.Expires = now.Add(n.Kind.Lifetime())
		if _, found, err := byStableID.Row(tx, stableKey{at.Key.user, stable}); err != nil || found {
			n.ID = ""
			return err
		}
		t, err := tallyOf(tx, at.Key.user, since, now)
		n.Reason = t.reason(every)
		return err
	})
	if err != nil || n.ID == "" {
		return err
	}
	return o.updateQueues(now, func(set *queueSet) error {
		_, found, err := byStableID.Row(set.tx, stableKey{id(n.User), stable})
		if err != nil || found {
			return err
		}
		return set.insert(n, []string{device})
	})
}

// tally counts the notifications of the devices of a user.
type tally struct {
	mails   int
	devices map[id]bool
	slowest time.Duration // from when a mail was found until it was accepted, without holds
	lost    int           // mails that expired or were refused, though nothing held them back
}

func (t tally) reason(every ring.Every) idlepush.Reason {
	return idlepush.Reason{Code: codeHeartbeat, Params: map[string]string{codes.Case: string(every), "count": strconv.Itoa(t.mails), "devices": strconv.Itoa(len(t.devices)),
		"slowest": fmt.Sprintf("%.1f", t.slowest.Seconds()), "lost": strconv.Itoa(t.lost)}}
}

// tallyOf counts the notifications of the user since then.
func tallyOf(tx *table.Tx, user id, since, now time.Time) (t tally, err error) {
	t.devices = make(map[id]bool)
	own := make(map[id]bool)
	keys, err := devices.Keys(tx, table.Under(user), table.NoLimit)
	if err != nil {
		return t, err
	}
	for _, k := range keys {
		own[k.device] = true
	}
	scopes, err := scopesOf(tx, string(user))
	if err != nil {
		return t, err
	}
	for _, scope := range scopes {
		from := notificationKey{scope.id, max(scope.since+1, uint64(since.UnixNano()))}
		rows, err := notifications.First(tx, table.Under(scope.id).From(from), table.NoLimit)
		if err != nil {
			return t, err
		}
		for _, row := range rows {
			if !row.Value.Kind.IsOfMail() {
				continue
			}
			if err := t.add(tx, row, own, now); err != nil {
				return t, err
			}
		}
	}
	return t, nil
}

// add counts a notification by its deliveries to these devices. Of a summary only mail counts that
// has no deliveries of its own.
func (t *tally) add(tx *table.Tx, n table.Row[notificationKey, notificationRow], own map[id]bool, now time.Time) error {
	list, err := deliveries.First(tx, table.Under(deliveryPrefix(n.Key)), table.NoLimit)
	if err != nil {
		return err
	}
	told, lost := false, false
	for _, d := range list {
		if !own[d.Key.device] {
			continue
		}
		row := d.Value.effective(now, true)
		switch row.State {
		case idlepush.DeliveryDelivered:
			told, t.devices[d.Key.device] = true, true
			if n.Value.Kind == idlepush.KindMail && (row.Decision == nil || row.Decision.Waited == nil) {
				t.slowest = max(t.slowest, row.At.Sub(n.Value.At))
			}
		case idlepush.DeliveryCombined:
			told = true
		case idlepush.DeliveryExpired, idlepush.DeliveryRefused:
			lost = lost || row.Decision == nil || row.Decision.Verdict != ring.Held
		}
	}
	switch {
	case n.Value.Kind == idlepush.KindMail && told:
		t.mails++
	case n.Value.Code != "" && told:
		t.mails += n.Value.Count
	}
	if lost {
		t.lost += max(1, n.Value.Count)
	}
	return nil
}
