package registry

import (
	"reflect"
	"testing"
	"time"

	"idlepush"
)

func TestAddressChange(t *testing.T) {
	t.Parallel()
	t.Run("gone does not count for an address that was confirmed since", goneOfConfirmed)
	t.Run("an outcome of a former address delays nothing", formerAddress)
	t.Run("what waits for a suspect device goes out once it is mended", suspectMended)
	t.Run("a change without a proof leaves the status as it is", changeWithoutProof)
}

// iphone is a device on APNs.
func iphone(t testing.TB, s *Store, user idlepush.User) idlepush.Device {
	t.Helper()
	return register(t, s, idlepush.Device{User: user.ID, Name: "iphone", Transport: APNs, Address: "token", Params: in(sandbox), Content: idlepush.LevelSubject})
}

// While a push is under way the app confirms its address: what the service said before that is no
// news any more.
func goneOfConfirmed(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, 1, dawn)
	later := dawn.Add(time.Second)
	w := first(t, s, d[0], dawn)
	if _, _, err := s.Devices.Register(d[0], "", later); err != nil {
		t.Fatal(err)
	}
	end(t, s, w, Outcome{Result: ResultGone, Reason: idlepush.Reason{Code: "gone"}}, later)
	w = first(t, s, d[0], later)
	if w.Notification.ID != ids[0] || !dueNow(t, s, later)[d[0].ID] {
		t.Fatalf("the mail is not sent again: %+v", w)
	}
	end(t, s, w, Outcome{Result: ResultGone, Reason: idlepush.Reason{Code: "gone"}}, later)
	if _, err := s.Devices.Get(d[0].ID); err == nil {
		t.Error("gone that is newer than the registration is not believed")
	}
}

// Whatever is said of an address that has changed since says nothing of the new one, and holds
// nothing up there.
func formerAddress(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Outcome{
		"delivered":     {Result: ResultDelivered}, // and cannot be read there any more
		"gone":          {Result: ResultGone, Reason: idlepush.Reason{Code: "gone"}},
		"refused":       {Result: ResultRefused, Reason: because("bad", "Bad.")},
		"misconfigured": {Result: ResultMisconfigured, Reason: because("key", "Key.")},
		"suspect":       {Result: ResultRetry, Suspect: true, At: dawn.Add(12 * time.Hour), Reason: because("bad", "Bad.")},
		"busy":          {Result: ResultRetry, At: dawn.Add(24 * time.Hour), Reason: because("busy", "Busy.")},
	} {
		for change, edit := range map[string]func(*idlepush.Device){
			"token":       func(d *idlepush.Device) { d.Address = "rotated" },
			"environment": func(d *idlepush.Device) { d.Params = in(production) },
			"topic":       func(d *idlepush.Device) { d.Params = with(d.Params, "topic", "org.example.mail") },
			"keys":        func(d *idlepush.Device) { d.Keys = &idlepush.Keys{P256dh: "p256dh", Auth: "auth"} },
		} {
			s := newStore(t)
			ann := someone(t, s, "ann")
			a, d := mailbox(t, s, ann, "ann@example.org"), iphone(t, s, ann)
			ids := arrive(t, s, a, 1, dawn)
			w := first(t, s, d, dawn)
			edit(&d)
			if _, err := s.Devices.Update(routed(d), dawn); err != nil {
				t.Fatal(err)
			}
			end(t, s, w, o, dawn)
			if !dueNow(t, s, dawn)[d.ID] || first(t, s, d, dawn).Notification.ID != ids[0] {
				t.Errorf("%s, then another %s: the mail waits or is lost", name, change)
				continue
			}
			if st := statusOf(t, s, d); st.State != idlepush.StateProven || st.Code != "" {
				t.Errorf("%s, then another %s: the device is %+v", name, change, st)
			}
		}
	}
}

// A suspect device is tried rarely; what was proved to work again is not to wait for that.
func suspectMended(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]func(*idlepush.Device){
		"another topic, proved": func(d *idlepush.Device) {
			d.Params = with(d.Params, "topic", "org.example.mail")
			d.Status = idlepush.Status{State: idlepush.StateProven}
		},
		"other keys": func(d *idlepush.Device) {
			d.Keys = &idlepush.Keys{P256dh: "p256dh", Auth: "auth"}
			d.Status = idlepush.Status{}
		},
		"a test push": func(d *idlepush.Device) { d.Status = idlepush.Status{State: idlepush.StateProven, Proof: dawn} },
	} {
		s := newStore(t)
		ann := someone(t, s, "ann")
		a, d := mailbox(t, s, ann, "ann@example.org"), iphone(t, s, ann)
		arrive(t, s, a, 1, dawn)
		end(t, s, first(t, s, d, dawn), Outcome{Result: ResultRetry, Suspect: true, At: dawn.Add(12 * time.Hour), Reason: idlepush.Reason{Code: "bad"}}, dawn)
		mend(&d)
		if _, err := s.Devices.Update(d, dawn); err != nil {
			t.Fatal(err)
		}
		if !dueNow(t, s, dawn)[d.ID] {
			t.Errorf("%s: the mail still waits", name)
		}
	}
}

// Between the look at a device and the change of it, a push may have told something new of it.
func changeWithoutProof(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 1, dawn)
	end(t, s, first(t, s, d[0], dawn), Outcome{Result: ResultRetry, Suspect: true, At: dawn.Add(time.Hour), Reason: because("bad", "Bad.")}, dawn)
	want := statusOf(t, s, d[0])
	renamed := d[0]
	renamed.Name, renamed.Status = "renamed", idlepush.Status{}
	if got, err := s.Devices.Update(renamed, dawn.Add(time.Minute)); err != nil || !reflect.DeepEqual(got.Status, want) {
		t.Errorf("renamed: %+v, %v, want %+v", got.Status, err, want)
	}
	again, _, err := s.Devices.Register(renamed, "", dawn.Add(time.Minute))
	if err != nil || !reflect.DeepEqual(again.Status, want) {
		t.Errorf("registered again: %+v, %v, want %+v", again.Status, err, want)
	}
	if err := s.Devices.Remove(again, ""); err != nil {
		t.Fatal(err)
	}
	if got, created, err := s.Devices.Register(renamed, "", dawn); err != nil || !created || !reflect.DeepEqual(got.Status, idlepush.Status{State: idlepush.StateUnproven, Since: dawn}) {
		t.Errorf("registered anew: %+v, %v", got.Status, err)
	}
}
