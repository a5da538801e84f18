package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestTroubles(t *testing.T) {
	t.Parallel()
	t.Run("each is told once, on its devices, and taken away when it is over", troubleToldOnce)
	t.Run("one that comes again is told again", troubleAgain)
	t.Run("one without a device is told once there is one", troubleWithoutDevice)
	t.Run("one that ends before it is sent never shows", troubleUnsent)
	t.Run("after what was told is purged, it is taken away all the same", troublePurged)
	t.Run("a person who is removed leaves nothing", troubleOfRemoved)
	t.Run("a device that moves takes nothing along", troubleMoved)
	t.Run("many at once take a transaction each", troublesMany)
}

// troubled is a store with ann, who has so many phones.
func troubled(t *testing.T, phones ...string) (*Store, idlepush.User, []idlepush.Device) {
	s := newStore(t)
	ann := someone(t, s, "ann")
	var list []idlepush.Device
	for _, name := range phones {
		list = append(list, phone(t, s, ann, name))
	}
	return s, ann, list
}

// diskLow is a trouble of the user, told on these devices.
func diskLow(u idlepush.User, on ...idlepush.Device) Trouble {
	t := Trouble{User: u.ID, Key: "disk_low", Reason: idlepush.Reason{Code: "disk_low"}}
	for _, d := range on {
		t.Devices = append(t.Devices, d.ID)
	}
	return t
}

func setTroubles(t *testing.T, s *Store, now time.Time, list ...Trouble) {
	t.Helper()
	if err := s.Users.SetTroubles(list, now); err != nil {
		t.Fatal(err)
	}
	if err := s.Outbox.Withdraw(now); err != nil { // as push does
		t.Fatal(err)
	}
}

// attentionsOf returns the notifications of kind attention of the user, the newest first.
func attentionsOf(t *testing.T, s *Store, u idlepush.User, now time.Time) []idlepush.Notification {
	t.Helper()
	list, _, err := s.History.List(u.ID, "", 200, now)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(n idlepush.Notification) bool { return n.Kind != idlepush.KindAttention })
}

// leavesNothing checks that the row of the user says nothing of troubles.
func leavesNothing(t *testing.T, s *Store, u idlepush.User) {
	t.Helper()
	s.db.View(func(tx *table.Tx) error {
		if row, err := getUser(tx, u.ID); err != nil || len(row.Troubles)+len(row.Over) > 0 {
			t.Errorf("the row of the user has %v and %v, %v", row.Troubles, row.Over, err)
		}
		return nil
	})
}

func troubleToldOnce(t *testing.T) {
	t.Parallel()
	s, ann, phones := troubled(t, "one", "two", "three")
	ben := someone(t, s, "ben")
	phone(t, s, ben, "ben's")
	low := diskLow(ann, phones[:2]...)
	setTroubles(t, s, dawn, low)
	told := attentionsOf(t, s, ann, dawn)
	if len(told) != 1 || told[0].Code != "disk_low" || len(attentionsOf(t, s, ben, dawn)) > 0 {
		t.Fatalf("ann was told %+v", told)
	}
	for i, d := range phones {
		if went := drain(t, s, d, dawn); (i < 2) != slices.Equal(went, []string{told[0].ID}) {
			t.Errorf("phone %d was sent %q", i, went)
		}
	}
	reopen(t, s)
	before, done := content(t, s), commits(s)
	setTroubles(t, s, at(time.Hour), low)
	setTroubles(t, s, at(2*time.Hour), diskLow(ann)) // it lasts, though no device is to be told
	setTroubles(t, s, at(2*time.Hour), diskLow(ann, phones[2]))
	differ(t, "as long as it lasts", content(t, s), before)
	if commits(s) != done {
		t.Error("what has not changed is committed")
	}
	reopen(t, s)
	setTroubles(t, s, at(3*time.Hour))
	for i, d := range phones {
		if clears, _ := clearsOf(t, s, d, at(3*time.Hour)); (i < 2) != slices.Equal(clears, []string{told[0].ID}) {
			t.Errorf("from phone %d %q are taken away", i, clears)
		}
	}
	leavesNothing(t, s, ann)
	checkRows(t, s)
}

func troubleAgain(t *testing.T) {
	t.Parallel()
	s, ann, phones := troubled(t, "one")
	setTroubles(t, s, dawn, diskLow(ann, phones...))
	drain(t, s, phones[0], dawn)
	setTroubles(t, s, at(time.Minute))
	setTroubles(t, s, at(time.Hour), diskLow(ann, phones...))
	list := attentionsOf(t, s, ann, at(time.Hour))
	if len(list) != 2 || list[0].ID == list[1].ID || !list[0].Cleared.IsZero() || list[1].Cleared.IsZero() {
		t.Errorf("ann was told %+v", list)
	}
}

func troubleWithoutDevice(t *testing.T) {
	t.Parallel()
	s, ann, _ := troubled(t)
	setTroubles(t, s, dawn, diskLow(ann), diskLow(idlepush.User{ID: "nobody"}, idlepush.Device{ID: "nothing"}))
	setTroubles(t, s, dawn, diskLow(ann, idlepush.Device{ID: "removed"}))
	if list := attentionsOf(t, s, ann, dawn); len(list) > 0 {
		t.Errorf("without a device ann was told %+v", list)
	}
	d := phone(t, s, ann, "one")
	setTroubles(t, s, dawn, diskLow(ann, idlepush.Device{ID: "removed"}, d))
	if went := drain(t, s, d, dawn); len(went) != 1 {
		t.Errorf("the phone was sent %q", went)
	}
}

func troubleUnsent(t *testing.T) {
	t.Parallel()
	s, ann, phones := troubled(t, "one")
	setTroubles(t, s, dawn, diskLow(ann, phones...))
	setTroubles(t, s, at(time.Minute))
	if went := drain(t, s, phones[0], at(time.Minute)); len(went) > 0 {
		t.Errorf("the phone was sent %q", went)
	}
	leavesNothing(t, s, ann)
}

func troublePurged(t *testing.T) {
	t.Parallel()
	s, ann, phones := troubled(t, "one")
	setTroubles(t, s, dawn, diskLow(ann, phones...))
	told := drain(t, s, phones[0], dawn)
	later := dawn.AddDate(0, 0, 10)
	if err := s.Purge(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	setTroubles(t, s, later)
	if clears, _ := clearsOf(t, s, phones[0], later); !slices.Equal(clears, told) {
		t.Errorf("%q are taken away, want %q", clears, told)
	}
	leavesNothing(t, s, ann)
}

func troubleOfRemoved(t *testing.T) {
	t.Parallel()
	s, ann, phones := troubled(t, "one")
	ben := resident(t, s, "ben")
	low := diskLow(ben, phone(t, s, ben, "ben's"))
	setTroubles(t, s, dawn, low, diskLow(ann, phones...))
	if err := s.Users.Remove(ann.ID, dawn); err != nil {
		t.Fatal(err)
	}
	setTroubles(t, s, at(time.Minute), low, diskLow(ann, phones...))
	setTroubles(t, s, at(time.Hour))
	if err := s.Purge(t.Context(), at(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for name := range content(t, s) {
		if strings.Contains(name, ann.ID) {
			t.Errorf("%s is left", name)
		}
	}
	checkRows(t, s)
}

func troubleMoved(t *testing.T) {
	t.Parallel()
	s, ann, phones := troubled(t, "one")
	ben := someone(t, s, "ben")
	setTroubles(t, s, dawn, diskLow(ann, phones...))
	d := phones[0]
	d.User, d.Address = ben.ID, "token of one"
	d, _, err := s.Devices.Register(d, "", at(time.Minute))
	if err != nil || d.ID != phones[0].ID {
		t.Fatal(d.ID, err)
	}
	setTroubles(t, s, at(time.Hour), diskLow(ann))
	setTroubles(t, s, at(2*time.Hour))
	if went := drain(t, s, d, at(2*time.Hour)); len(went) > 0 {
		t.Errorf("ben's phone is sent %q", went)
	}
	leavesNothing(t, s, ann)
	checkRows(t, s)
}

func troublesMany(t *testing.T) {
	t.Parallel()
	s, ann, phones := troubled(t, "one", "two")
	var list []Trouble
	for i := range 30 {
		one := diskLow(ann, phones...)
		one.Key = fmt.Sprint("service ", i)
		list = append(list, one)
	}
	setTroubles(t, s, dawn, list...)
	if went := drain(t, s, phones[1], dawn); len(went) != len(list) {
		t.Errorf("%d were sent", len(went))
	}
	setTroubles(t, s, at(time.Hour), list[7])
	left := slices.DeleteFunc(attentionsOf(t, s, ann, at(time.Hour)), func(n idlepush.Notification) bool { return !n.Cleared.IsZero() })
	if len(left) != 1 {
		t.Errorf("%d are left", len(left))
	}
	checkRows(t, s)
}
