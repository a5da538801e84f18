package registry

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// TestNotice lets the push service say that a device is gone. If it was the last of its user, there
// is a notice until a device is registered, or until it is dismissed.
func TestNotice(t *testing.T) {
	t.Parallel()
	gone := Outcome{Result: ResultGone, Reason: because("webpush_gone", "It is over.").With("host", "push.example.org")}
	for name, c := range map[string]struct {
		others int                             // devices of the user beside the one that goes
		then   func(s *Store, u idlepush.User) // afterwards
		notice bool
	}{
		"the last":                            {0, nil, true},
		"one of two":                          {1, nil, false},
		"the last, and another is registered": {0, func(s *Store, u idlepush.User) { phone(t, s, u, "new") }, false},
		"the last, and somebody else registers one": {0, func(s *Store, _ idlepush.User) {
			phone(t, s, someone(t, s, "bob"), "bob's")
		}, true},
		"the last, and the notice is dismissed": {0, func(s *Store, u idlepush.User) {
			if err := s.Users.Dismiss(u.ID, dawn); err != nil {
				t.Error(err)
			}
		}, false},
		"the last, and the person gets another name": {0, func(s *Store, u idlepush.User) {
			if _, err := s.Users.Update(u.ID, UserPatch{Name: "anna"}, noon); err != nil {
				t.Error(err)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann := someone(t, s, "ann")
			d := phone(t, s, ann, "phone")
			for i := range c.others {
				phone(t, s, ann, fmt.Sprint("other ", i))
			}
			arrive(t, s, mailbox(t, s, ann, "ann@example.org"), 1, dawn)
			l := s.History.Listen(ann.ID)
			defer l.Stop()
			end(t, s, first(t, s, d, dawn), gone, dawn)
			told := slices.Contains(l.Take(), change{userChanged, ann.ID})
			if c.then != nil {
				c.then(s, ann)
			}
			n, err := s.Users.Notice(ann.ID)
			want := notice{}
			if c.notice {
				want = notice{dawn, gone.Reason.With(codes.Cause, "webpush_gone").With("device", "phone")}
				want.Code = "device_gone"
			}
			if err != nil || !n.Since.Equal(want.Since) || !n.Reason.Equal(want.Reason) {
				t.Errorf("the notice is %+v, %v; want %+v", n, err, want)
			}
			if told != (c.others == 0) {
				t.Errorf("an open page hears of it: %v", told)
			}
		})
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	reasons := func(n int) (list []notice) {
		for i := range n {
			list = append(list, notice{dawn, idlepush.Reason{Code: codeTokenByAdmin}.With("token", fmt.Sprint(i))})
		}
		return list
	}
	lost := notice{dawn, idlepush.Reason{Code: codeDeviceGone}.With("device", "phone")}
	again := notice{noon, reasons(1)[0].Reason}
	for name, c := range map[string]struct{ added, want []notice }{
		"one of a lost device hides no other":      {append(reasons(1), lost), append(reasons(1), lost)},
		"what is said again moves behind":          {append(reasons(2), again), []notice{reasons(2)[1], again}},
		"of too many the last one makes room":      {reasons(maxNotices + 5), append(reasons(maxNotices-1), reasons(maxNotices + 5)[maxNotices+4])},
		"as many as there is room for stay":        {reasons(maxNotices), reasons(maxNotices)},
		"with the same code but something else so": {reasons(3), reasons(3)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann := someone(t, s, "ann")
			if err := s.db.Update(func(tx *table.Tx) error {
				row, err := getUser(tx, ann.ID)
				for _, n := range c.added {
					row.addNotice(n)
				}
				return errors.Join(err, users.Put(tx, id(ann.ID), row))
			}); err != nil {
				t.Fatal(err)
			}
			for _, want := range append(c.want, notice{}) {
				if n, err := s.Users.Notice(ann.ID); err != nil || !n.Since.Equal(want.Since) || !n.Reason.Equal(want.Reason) {
					t.Errorf("the notice is %+v, %v; want %+v", n, err, want)
				}
				errOther := s.Users.Dismiss(ann.ID, want.Since.Add(time.Nanosecond))
				if n, err := s.Users.Notice(ann.ID); err != nil || !n.Reason.Equal(want.Reason) {
					t.Errorf("after the dismissal of another it is %+v, %v; want %+v", n, err, want)
				}
				if err := errors.Join(errOther, s.Users.Dismiss(ann.ID, want.Since)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestDeviceByAdmin(t *testing.T) {
	t.Parallel()
	another := func(d idlepush.Device) idlepush.Device {
		d.Name, d.Address = "another", "another"
		return d
	}
	for _, c := range []struct {
		what   string
		others int
		do     func(s *Store, d idlepush.Device) error
		told   bool
	}{
		{"registers one", 1, func(s *Store, d idlepush.Device) error {
			_, _, err := s.Devices.RegisterByAdmin(another(d), dawn)
			return err
		}, true},
		{"registers the same again", 0, func(s *Store, d idlepush.Device) error {
			_, _, err := s.Devices.RegisterByAdmin(d, dawn)
			return err
		}, false},
		{"gives the only one another address", 0, func(s *Store, d idlepush.Device) error {
			_, err := s.Devices.UpdateByAdmin(another(d), dawn)
			return err
		}, true},
		{"gives one of two another address", 1, func(s *Store, d idlepush.Device) error {
			_, err := s.Devices.UpdateByAdmin(another(d), dawn)
			return err
		}, true},
		{"raises the level", 0, func(s *Store, d idlepush.Device) error {
			d.Content = idlepush.LevelPreview
			_, err := s.Devices.UpdateByAdmin(d, dawn)
			return err
		}, true},
		{"gives it another name", 0, func(s *Store, d idlepush.Device) error {
			d.Name = "another"
			_, err := s.Devices.UpdateByAdmin(d, dawn)
			return err
		}, false},
	} {
		t.Run("the admin token "+c.what, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann := someone(t, s, "ann")
			d := phone(t, s, ann, "mine")
			for i := range c.others {
				phone(t, s, ann, fmt.Sprint("other ", i))
			}
			if err := c.do(s, d); err != nil {
				t.Fatal(err)
			}
			list := attentions(t, s, ann, dawn)
			if told := len(list) == 1 && list[0].Code == codeDeviceByAdmin; told != c.told || len(list) > 1 {
				t.Errorf("the devices are told %+v", list)
			}
			if n, err := s.Users.Notice(ann.ID); err != nil || n.Since.IsZero() != (!c.told || c.others > 0) {
				t.Errorf("the notice is %+v, %v", n, err)
			}
		})
	}
}

func TestTokenByAdmin(t *testing.T) {
	t.Parallel()
	t.Run("the person's devices are told, or the page if there are none", func(t *testing.T) {
		t.Parallel()
		for _, phones := range []int{0, 2} {
			s := newStore(t)
			ann := someone(t, s, "ann")
			for i := range phones {
				phone(t, s, ann, fmt.Sprint("phone ", i))
			}
			row, _, err := s.Logins.AddTokenByAdmin(ann.ID, "script", dawn)
			if err != nil || row.Scope != idlepush.ScopeDevice || row.By != "" {
				t.Fatalf("%+v, %v", row, err)
			}
			want := idlepush.Reason{Code: codeTokenByAdmin}.With("token", "script")
			if list := attentions(t, s, ann, dawn); len(list) != 1 || !list[0].Reason.Equal(want) || len(list[0].Deliveries) != phones {
				t.Errorf("%d phones are told %+v", phones, list)
			}
			if n, err := s.Users.Notice(ann.ID); err != nil || n.Since.IsZero() != (phones > 0) {
				t.Errorf("with %d phones the notice is %+v, %v", phones, n, err)
			}
		}
	})
	t.Run("whoever has the token cannot end the notice with it", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		ann := someone(t, s, "ann")
		row, _, err := s.Logins.AddTokenByAdmin(ann.ID, "script", dawn)
		if err != nil {
			t.Fatal(err)
		}
		register(t, s, idlepush.Device{User: ann.ID, Name: "his", By: row.ID, Transport: FCM, Address: "his", Content: idlepush.LevelPreview})
		if n, err := s.Users.Notice(ann.ID); err != nil || n.Code != codeTokenByAdmin {
			t.Errorf("the notice is %+v, %v", n, err)
		}
		phone(t, s, ann, "mine")
		if n, err := s.Users.Notice(ann.ID); err != nil || n.Code != codeTokenByAdmin {
			t.Errorf("registered on the page: %+v, %v", n, err)
		}
	})
	t.Run("the token is not made without telling", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		if _, _, err := s.Logins.AddTokenByAdmin(newID(), "script", dawn); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}
