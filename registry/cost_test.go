package registry

import (
	"fmt"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// TestCosts, and not much more than that.
func TestCosts(t *testing.T) {
	t.Parallel()
	most := make(map[string]int)
	costs := map[string]int{"queue": queueCost, "delivery": deliveryCost, "row": rowCost, "notification": notificationCost, "removal": removalCost}
	s, a, d := measured(t)
	spend := func(what string, do func(set *queueSet) error) {
		t.Helper()
		err := s.db.Update(func(tx *table.Tx) error {
			set := &queueSet{tx: tx, now: dawn, list: make(map[id]*queue)}
			if what != "queue" && what != "removal" { // what a queue costs is counted by itself
				if _, err := set.get(id(d.ID)); err != nil {
					return err
				}
			}
			before := tx.Left()
			if err := do(set); err != nil {
				return err
			}
			most[what] = max(most[what], before-tx.Left())
			return set.save()
		})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	mail := func(uid uint32) idlepush.Notification {
		return idlepush.Notification{ID: fmt.Sprint("mail ", uid), Kind: idlepush.KindMail, Account: a.ID, Folder: "INBOX", UIDValidity: 7, UID: uid, Fingerprint: fmt.Sprint(uid), Wordless: true,
			At: dawn, Expires: dawn.Add(time.Hour)}
	}
	told := recorder{arrival: Arrival{Account: a.ID, Folder: "INBOX", To: Cursor{UIDValidity: 7}, At: dawn}, mailbox: a.ID, level: idlepush.LevelSubject}
	spend("notification", func(set *queueSet) error { return set.insert(mail(1), nil) })
	spend("notification", func(set *queueSet) error {
		told.set = set
		_, _, err := told.recordMail(Message{UID: 2, Fingerprint: "two", Wordless: true})
		return err
	})
	spend("notification", func(set *queueSet) error { // under the UID of another
		told.set = set
		_, _, err := told.recordMail(Message{UID: 2, Fingerprint: "three", Wordless: true})
		return err
	})
	rowOf := func(set *queueSet, uid uint32) table.Row[notificationKey, notificationRow] {
		n, found, err := announced.Row(set.tx, placeKey{folderPrefix{id(a.ID), digestOf("INBOX"), 7}, uid})
		if err != nil || !found {
			t.Fatalf("mail %d: %v, %v", uid, found, err)
		}
		return n
	}
	var at deliveryKey
	spend("row", func(set *queueSet) error {
		n := rowOf(set, 1)
		n.Value.Unqueued = []string{d.ID}
		return notifications.Put(set.tx, n.Key, n.Value)
	})
	spend("the place in the queue", func(set *queueSet) error {
		n := rowOf(set, 1)
		at = deliveryKey{n.Key, id(d.ID)}
		q, err := set.get(id(d.ID))
		if err == nil {
			err = set.addNotification(q, n.Key, n.Value)
		}
		return err
	})
	ends := map[string]func(set *queueSet, q *queue, row deliveryRow) error{
		"end": func(set *queueSet, q *queue, row deliveryRow) error {
			return set.endDelivery(q, at, row.withState(idlepush.DeliveryCleared, dawn))
		},
		"wait": func(set *queueSet, q *queue, row deliveryRow) error {
			return set.addPending(q, at, row.withState(idlepush.DeliveryPending, dawn))
		},
		"remove": func(set *queueSet, q *queue, row deliveryRow) error {
			return set.removeDelivery(table.Row[deliveryKey, deliveryRow]{Key: at, Value: row})
		},
	}
	for _, name := range []string{"end", "wait", "remove"} {
		spend("delivery", func(set *queueSet) error {
			q, err := set.get(id(d.ID))
			if err != nil {
				return err
			}
			row, _, err := deliveries.Get(set.tx, at)
			if err != nil {
				return err
			}
			return ends[name](set, q, row)
		})
	}
	spend("row", func(set *queueSet) error {
		n := rowOf(set, 1)
		before := set.tx.Left() + 2 // it was read
		n.Value.Cleared, n.Value.Unqueued = dawn, nil
		err := notifications.Put(set.tx, n.Key, n.Value)
		most["row"] = before - set.tx.Left()
		return err
	})
	for after := range 2 {
		spend("queue", func(set *queueSet) error {
			q, err := set.get(id(d.ID))
			if err != nil {
				return err
			}
			q.row.Due = dawn.Add(time.Duration(after+1) * time.Hour)
			return set.save()
		})
	}
	spend("removal", func(set *queueSet) error { return removeDevice(set.tx, deviceKey{id(d.User), id(d.ID)}) })
	for what, cost := range costs {
		if most[what] > cost || most[what] < cost/2 {
			t.Errorf("a %s costs %d, and is reckoned as %d", what, most[what], cost)
		}
	}
}

// measured is a store that counts.
func measured(t *testing.T) (s *Store, a idlepush.Account, d idlepush.Device) {
	t.Helper()
	s = newStore(t)
	ann := someone(t, s, "ann")
	a, d = mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "phone")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(s.dir, Options{NoSync: true, Bound: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	*s = *again
	return s, a, d
}
