package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestDevices(t *testing.T) {
	t.Parallel()
	t.Run("the same address is the same device with the new keys and settings", sameAddressSameDevice)
	t.Run("an address that moves to another user keeps its queue but sends only what that user may see", addressMoves)
	t.Run("a device is updated in place, also its address", updateInPlace)
	t.Run("a renamed device is neither registered again nor tried earlier", renameKeepsQueue)
	t.Run("a device without a lane is refused", emptyLane)
	t.Run("a device that changes its lane waits with the new one", newLaneWaits)
	t.Run("a device that changes its lane wakes the dispatcher", newLaneWakes)
	t.Run("a removed device leaves nothing that is sent", removeLeavesNothing)
	t.Run("the user's devices are listed, oldest first", listOldestFirst)
	t.Run("an address belongs to its transport", addressOfTransport)
	t.Run("a damaged address affects no other device and is mended by its app", damagedAddress)
}

func sameAddressSameDevice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	for name, d := range map[string]idlepush.Device{
		"fcm":         {Transport: FCM, Address: "token"},
		"apns":        {Transport: APNs, Address: "token", Params: map[string]string{"environment": sandbox, "topic": "org.example.app"}},
		"webpush":     {Transport: WebPush, Address: "https://push.example/1", Keys: &idlepush.Keys{P256dh: "p", Auth: "a"}},
		"unifiedpush": {Transport: UnifiedPush, Address: "https://push.example/1", Keys: &idlepush.Keys{P256dh: "p", Auth: "a"}},
	} {
		d.User, d.Name, d.Content, d.Status.State = ann.ID, name, idlepush.LevelSubject, idlepush.StateUnproven
		first, created, err := s.Devices.Register(routed(d), "", dawn)
		if err != nil || !created || len(first.ID) != 26 || !first.Created.Equal(dawn) || !first.Registered.Equal(dawn) {
			t.Fatalf("%s: created %v %+v, %v", name, created, first, err)
		}
		d.Name, d.Content, d.Status.State, d.Keys = "renamed", idlepush.LevelWake, idlepush.StateProven, &idlepush.Keys{P256dh: "p2", Auth: "a2"}
		later := dawn.Add(time.Hour)
		again, created, err := s.Devices.Register(routed(d), "", later)
		if err != nil || created || again.ID != first.ID || !again.Created.Equal(dawn) || !again.Registered.Equal(later) {
			t.Fatalf("%s again: created %v %+v, %v", name, created, again, err)
		}
		got, err := s.Devices.At(idlepush.Device{Transport: d.Transport, Address: d.Address})
		if err != nil || got.ID != first.ID || got.Name != "renamed" || got.Content != idlepush.LevelWake || got.Address != d.Address || *got.Keys != *d.Keys {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got.Status.State != idlepush.StateProven || !got.Status.Since.Equal(later) {
			t.Errorf("%s: status %+v", name, got.Status)
		}
	}
	if list, err := s.Devices.List(ann.ID); err != nil || len(list) != 4 {
		t.Errorf("%d devices, %v; want one per transport and address", len(list), err)
	}
	if _, err := s.Devices.At(idlepush.Device{Transport: FCM, Address: "unknown"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown address: %v", err)
	}
}

func addressMoves(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	private, shared := mailbox(t, s, ann, "ann@example.org"), mailbox(t, s, ann, "both@example.org")
	shared.SharedWith = []string{bob.ID}
	if _, err := s.Accounts.Update(shared, dawn); err != nil {
		t.Fatal(err)
	}
	d, old := phone(t, s, ann, "phone"), phone(t, s, ann, "old phone")
	hidden, seen := arrive(t, s, private, 2, dawn), arrive(t, s, shared, 2, dawn)
	// Ann is told, bob is not to be.
	end(t, s, first(t, s, old, dawn), Outcome{Result: ResultGone, Reason: idlepush.Reason{Code: "gone"}}, dawn)
	work := first(t, s, d, dawn)

	moved, created, err := s.Devices.Register(routed(idlepush.Device{User: bob.ID, Name: "bob's", Transport: FCM, Address: d.Address, Content: idlepush.LevelWake, Status: idlepush.Status{State: idlepush.StateProven}}), "", dawn)
	if err != nil || created || moved.ID != d.ID {
		t.Fatalf("created %v, %s for %s, %v", created, moved.ID, d.ID, err)
	}
	if list, err := s.Devices.List(ann.ID); err != nil || len(list) > 0 {
		t.Errorf("the former user still has %v, %v", list, err)
	}
	if _, err := s.Devices.Update(d, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("the former user changes it: %v", err)
	}
	end(t, s, work, Outcome{Result: ResultRetry}, dawn) // taken before the move
	if got := drain(t, s, d, dawn); !slices.Equal(got, seen) {
		t.Errorf("sent %v, want %v", got, seen)
	}
	for _, id := range hidden {
		if got := deliveryOf(t, s, ann, id, d, dawn); got.State != idlepush.DeliveryRemoved {
			t.Errorf("%+v", got)
		}
	}
}

func updateInPlace(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d, other := phone(t, s, ann, "phone"), phone(t, s, ann, "other")
	ids := arrive(t, s, a, 2, dawn)
	former := idlepush.Device{Transport: FCM, Address: d.Address}
	d.Address, d.Name = "rotated", "renamed"
	later := dawn.Add(time.Hour)
	updated, err := s.Devices.Update(d, later)
	if err != nil || updated.ID != d.ID || !updated.Created.Equal(dawn) || !updated.Registered.Equal(later) {
		t.Fatalf("%+v, %v", updated, err)
	}
	if _, err := s.Devices.At(former); !errors.Is(err, ErrNotFound) {
		t.Errorf("the former address leads somewhere: %v", err)
	}
	if got, err := s.Devices.At(d); err != nil || got.ID != d.ID || got.Name != "renamed" {
		t.Errorf("%+v, %v", got, err)
	}
	if got := drain(t, s, d, dawn); !slices.Equal(got, ids) {
		t.Errorf("its queue holds %v, want %v", got, ids)
	}
	d.Address, d.Revision = other.Address, updated.Revision
	if _, err := s.Devices.Update(d, later); !errors.Is(err, ErrTaken) {
		t.Errorf("an address of another device: %v", err)
	}
	if got, err := s.Devices.Get(d.ID); err != nil || got.Address != "rotated" {
		t.Errorf("the refused update changed it, %v", err)
	}
	d.ID = newID()
	if _, err := s.Devices.Update(d, later); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown device: %v", err)
	}
}

// A rename is no proof that the app still has the address, and no reason to push a service that
// asked to wait.
func renameKeepsQueue(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 1, dawn)
	wait, later := dawn.Add(10*time.Minute), dawn.Add(time.Minute)
	for i := range 3 {
		end(t, s, first(t, s, d[i], dawn), Outcome{Result: ResultRetry, At: wait}, dawn)
	}
	d[0].Name = "renamed"
	renamed, err := s.Devices.Update(d[0], later)
	if err != nil || !renamed.Registered.Equal(dawn) {
		t.Errorf("renamed: registered %v, %v", renamed.Registered, err)
	}
	d[1].Address = "rotated"
	rotated, err := s.Devices.Update(d[1], later)
	if err != nil || !rotated.Registered.Equal(later) {
		t.Errorf("rotated: registered %v, %v", rotated.Registered, err)
	}
	if _, _, err := s.Devices.Register(d[2], "", later); err != nil {
		t.Fatal(err)
	}
	due := dueNow(t, s, later)
	if due[d[0].ID] || !due[d[1].ID] || !due[d[2].ID] {
		t.Errorf("due: renamed %v, rotated %v, registered again %v", due[d[0].ID], due[d[1].ID], due[d[2].ID])
	}
}

func emptyLane(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d := idlepush.Device{User: ann.ID, Name: "phone", Transport: FCM, Address: "token"}
	says := func(call string, err error) {
		if err == nil || !strings.Contains(err.Error(), `transport "fcm"`) || !strings.Contains(err.Error(), "lane") {
			t.Errorf("%s: %v; want an error that names the transport and what it lacks", call, err)
		}
	}
	_, _, err := s.Devices.Register(d, "", dawn)
	says("put", err)
	if list, err := s.Devices.List(ann.ID); err != nil || len(list) > 0 {
		t.Errorf("it was stored: %v, %v", list, err)
	}
	known := phone(t, s, ann, "phone")
	known.Lane = ""
	_, err = s.Devices.Update(known, dawn)
	says("update", err)
	_, _, err = s.Devices.Register(known, "", dawn)
	says("put again", err)
	if got, err := s.Devices.Get(known.ID); err != nil || got.Lane != "fcm" {
		t.Errorf("the lane of the device is %q, %v", got.Lane, err)
	}
}

func newLaneWaits(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d := register(t, s, idlepush.Device{User: ann.ID, Name: "phone", Transport: APNs, Address: "token", Params: in(sandbox), Content: idlepush.LevelWake})
	arrive(t, s, a, 1, dawn)
	until := dawn.Add(15 * time.Minute)
	pause(t, s, Lane{Name: "apns sandbox", Since: dawn, Until: until})
	d.Params = in(production)
	d, err := s.Devices.Update(routed(d), dawn)
	if err != nil {
		t.Fatal(err)
	}
	if !dueNow(t, s, dawn)[d.ID] {
		t.Error("it waits for the lane that it has left")
	}
	pause(t, s, Lane{Name: "apns production", Since: dawn, Until: until})
	if dueNow(t, s, until.Add(-1))[d.ID] {
		t.Error("it does not wait for the lane that it is in")
	}
}

// Whoever waits for the old lane does not look at the new one.
func newLaneWakes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "a@example.org")
	d := register(t, s, idlepush.Device{User: ann.ID, Name: "phone", Transport: APNs, Address: "token", Params: in(production), Content: idlepush.LevelSubject})
	arrive(t, s, a, 1, dawn)
	<-s.Outbox.Changed()
	d.Params = in(sandbox)
	if _, err := s.Devices.Update(routed(d), dawn.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Outbox.Changed():
	default:
		t.Error("nobody is told to look again")
	}
}

func removeLeavesNothing(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	var last []string
	for range 5 {
		last = arrive(t, s, a, MaxMails, dawn)
	}
	w := first(t, s, d[0], dawn)
	if err := s.Devices.Remove(d[0], ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Devices.Get(d[0].ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("device: %v", err)
	}
	if err := s.Devices.Remove(d[0], ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
	if _, err := s.Outbox.Settle(w, Outcome{Result: ResultDelivered}, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("settled after: %v", err)
	}
	if _, _, err := s.Outbox.Next(d[0].ID, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("next after: %v", err)
	}
	if dueNow(t, s, dawn)[d[0].ID] {
		t.Error("it is still due")
	}
	if got := deliveryOf(t, s, idlepush.User{ID: a.Owner}, last[49], d[0], dawn); got.State != idlepush.DeliveryRemoved {
		t.Errorf("%+v", got)
	}
	// The same phone, registered again, is a new device with an empty queue.
	again := phone(t, s, idlepush.User{ID: a.Owner}, "one")
	if again.ID == d[0].ID || len(drain(t, s, again, dawn)) > 0 {
		t.Error("the former queue is back")
	}
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	if keys := queueKeys(t, s, d[0]); len(keys) > 0 {
		t.Errorf("%d rows of it are left", len(keys))
	}
}

func listOldestFirst(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	for i, minute := range []int{3, 1, 2, 0} {
		user := ann
		if minute == 2 {
			user = bob
		}
		d := idlepush.Device{User: user.ID, Name: fmt.Sprint(minute), Transport: FCM, Address: idlepush.Secret(fmt.Sprint(i))}
		if _, _, err := s.Devices.Register(routed(d), "", dawn.Add(time.Duration(minute)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Devices.List(ann.ID)
	if err != nil || len(list) != 3 || list[0].Name != "0" || list[1].Name != "1" || list[2].Name != "3" {
		t.Errorf("%+v, %v", list, err)
	}
}

func addressOfTransport(t *testing.T) {
	t.Parallel()
	seen := map[[32]byte]int{}
	for i, d := range []idlepush.Device{
		{Transport: FCM, Address: "x"}, {Transport: APNs, Address: "x"}, {Transport: FCM, Address: "y"},
		{Transport: WebPush, Address: "x"}, {Transport: UnifiedPush, Address: "x"},
	} {
		if j, found := seen[addressDigest(d)]; found {
			t.Errorf("devices %d and %d have one address", i, j)
		}
		seen[addressDigest(d)] = i
	}
	if addressDigest(idlepush.Device{Transport: APNs, Address: "x", Params: in(sandbox)}) != addressDigest(idlepush.Device{Transport: APNs, Address: "x", Params: map[string]string{"topic": "t"}, ID: "i"}) {
		t.Error("more than transport and token makes the address")
	}
}

func damagedAddress(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "a@example.org")
	d, lost, other := phone(t, s, ann, "phone"), phone(t, s, ann, "lost"), phone(t, s, ann, "other")
	ids := arrive(t, s, a, 1, dawn)
	err := s.db.Update(func(tx *table.Tx) error {
		for _, row := range all(t, tx, devices) {
			if row.Key.device != id(other.ID) {
				row.Value.Secrets[len(row.Value.Secrets)-1] ^= 1
				if err := devices.Put(tx, row.Key, row.Value); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := s.Devices.List(ann.ID); err != nil || len(list) != 3 {
		t.Errorf("the page shows %d devices, %v", len(list), err)
	}
	if _, _, err := s.Outbox.Next(d.ID, dawn); !errors.Is(err, ErrCorrupt) {
		t.Errorf("there is something to send to no address: %v", err)
	}
	broken, err := s.Devices.Get(d.ID)
	if err != nil || broken.Address != "" {
		t.Errorf("the damage is not seen: %v", err)
	}
	if _, err := s.Devices.Update(broken, dawn); !errors.Is(err, ErrCorrupt) {
		t.Errorf("it was written without its address: %v", err)
	}
	if again := phone(t, s, ann, "phone"); again.ID != d.ID {
		t.Error("it is another device")
	}
	if got := drain(t, s, d, dawn); !slices.Equal(got, ids) {
		t.Errorf("sent %v", got)
	}
	if lost, err = s.Devices.Get(lost.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Devices.Remove(lost, ""); err != nil {
		t.Errorf("it cannot be removed: %v", err)
	}
}
