package registry

import (
	"testing"
	"time"

	"idlepush"
	"idlepush/ring"
)

func editsEndHolds(t *testing.T) {
	t.Parallel()
	until := dawn.Add(time.Hour)
	for name, c := range map[string]struct {
		edit func(s *Store, ann idlepush.User, a idlepush.Account, d idlepush.Device) error
		both bool // also what is held of the other mailbox
	}{
		"rules": {func(s *Store, ann idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			return errOf(s.Accounts.SetWishes(ann.ID, a.ID, ring.Wishes{Name: "x"}, dawn))
		}, false},
		"a mute": {func(s *Store, ann idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			m, err := s.Accounts.Mute(ann.ID, a.ID, ring.Mute{Of: ring.MuteMailbox}, dawn.Add(-time.Hour))
			if err != nil {
				return err
			}
			return s.Accounts.Unmute(ann.ID, a.ID, m.ID, dawn)
		}, false},
		"quiet hours": {func(s *Store, _ idlepush.User, _ idlepush.Account, d idlepush.Device) error {
			return errOf(s.Devices.SetWishes(d.ID, someDeviceWishes, dawn))
		}, true},
		"the device": {func(s *Store, _ idlepush.User, _ idlepush.Account, d idlepush.Device) error {
			d.Name = "another"
			return errOf(s.Devices.Update(d, dawn))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ann, a, d := onePhone(t)
			b, other := mailbox(t, s, ann, "b@example.org"), phone(t, s, ann, "other")
			ids := append(arrive(t, s, a, 1, dawn), arrive(t, s, b, 1, dawn)...)
			for _, d := range []idlepush.Device{d, other} {
				wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
			}
			if due := dueNow(t, s, dawn); len(due) > 0 {
				t.Errorf("before the edit %v are due", due)
			}
			if err := c.edit(s, ann, a, d); err != nil {
				t.Fatal(err)
			}
			due := dueNow(t, s, dawn)
			if !due[d.ID] || due[other.ID] == c.both {
				t.Errorf("after the edit %v are due", due)
			}
			want := ids[:1]
			if c.both {
				want = ids
			}
			wantSent(t, dispatch(t, s, d, dawn, rings), want...)
		})
	}
}

func editMeanwhile(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 2, dawn)
	until := dawn.Add(time.Hour)
	wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
	edited := false
	n, err := s.Outbox.Combine(first(t, s, d, until), until, func(Work) ring.Decision {
		if !edited {
			edited = true
			done := make(chan error)
			go func() {
				_, err := s.Accounts.SetWishes(ann.ID, a.ID, ring.Wishes{Name: "x"}, until.Add(time.Second))
				done <- err
			}()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		return heldUntil(until.Add(time.Hour))
	})
	if err != nil || n != 0 {
		t.Error(n, err)
	}
	now := until.Add(time.Second)
	if !dueNow(t, s, now)[d.ID] {
		t.Error("the edit came while it was decided, and nothing is decided again")
	}
	wantSent(t, dispatch(t, s, d, now, bySubject(map[string]ring.Decision{"mail 1": notAtAll})), ids[1])
}

func editBeforeDecided(t *testing.T) {
	t.Parallel()
	edits := map[string]func(*Store, idlepush.User, idlepush.Account, idlepush.Device) error{
		"rules": func(s *Store, ann idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			return errOf(s.Accounts.SetWishes(ann.ID, a.ID, ring.Wishes{People: []string{"bob@example.org"}}, dawn))
		},
		"a mute": func(s *Store, ann idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			return errOf(s.Accounts.Mute(ann.ID, a.ID, ring.Mute{Of: ring.MuteMailbox}, dawn))
		},
		"quiet hours": func(s *Store, _ idlepush.User, _ idlepush.Account, d idlepush.Device) error {
			return errOf(s.Devices.SetWishes(d.ID, someDeviceWishes, dawn))
		},
		"its content": func(s *Store, _ idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			return errOf(s.Mail.FillIn(a.ID, "INBOX", 7, Message{UID: 1, Facts: ring.Facts{From: "bob@example.org"}}, dawn))
		},
	}
	for name, edit := range edits {
		for _, by := range []ring.Decision{heldUntil(dawn.Add(time.Hour)), notAtAll} {
			s, ann, a, d := onePhone(t)
			look := arrival(t, s, a, 1, dawn)
			look.Mails[0] = Message{UID: 1, Wordless: true}
			if _, err := s.Mail.Record(look); err != nil {
				t.Fatal(err)
			}
			w := first(t, s, d, dawn)
			if err := edit(s, ann, a, d); err != nil {
				t.Fatal(err)
			}
			w.Decision = by
			if err := s.Outbox.Decide(w, dawn, decides(by)); err != nil {
				t.Fatal(err)
			}
			if sent := dispatch(t, s, d, dawn, rings); len(sent) != 1 {
				t.Errorf("%s came before it was %s, and %q went", name, by.Verdict, sent)
			}
		}
	}
}

func editWhileWaiting(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 2, dawn)
	w := first(t, s, d, dawn)
	w.Decision = heldUntil(dawn.Add(time.Hour))
	by := bySubject(map[string]ring.Decision{"mail 1": w.Decision})
	if err := s.Outbox.Decide(w, dawn, by); err != nil {
		t.Fatal(err)
	}
	retry := dawn.Add(10 * time.Minute)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultRetry, At: retry, Reason: because("busy", "h")}, dawn)
	wish(t, s, ann, a, ring.Wishes{Name: "x"})
	if got, err := s.Devices.Get(d.ID); err != nil || !got.Due.Equal(retry) {
		t.Errorf("it is due at %v, %v; want %v", got.Due, err, retry)
	}
	wantSent(t, dispatch(t, s, d, retry, rings), ids...)
}
