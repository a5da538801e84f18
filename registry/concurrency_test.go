package registry

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/testenv"
)

func TestConcurrency(t *testing.T) {
	t.Parallel()
	t.Run("many calls at once leave the store valid", manyCalls)
	t.Run("no edit is lost if two edit at once", noLostEdit)
	t.Run("an edit of a row that has changed since it was read is stale", staleEdit)
}

// manyCalls, also where they are about the same rows.
func manyCalls(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	shared := mailbox(t, s, ann, "shared@example.org")
	shared.SharedWith, shared.Folders = []string{bob.ID}, []string{"INBOX", "Lists"}
	shared, err := s.Accounts.Update(shared, dawn)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		phone(t, s, ann, fmt.Sprint("ann's ", i))
		phone(t, s, bob, fmt.Sprint("bob's ", i))
	}
	rounds := testenv.Tenth(300)
	var wg sync.WaitGroup
	worker := func(do func(i int) error, may ...error) {
		wg.Go(func() {
			for i := range rounds {
				if err := do(i); err != nil && !slices.ContainsFunc(may, func(m error) bool { return errors.Is(err, m) }) {
					t.Error(err)
				}
			}
		})
	}
	for _, folder := range []string{"INBOX", "Lists"} {
		worker(func(i int) error {
			from, err := s.Mail.Cursor(shared.ID, folder)
			if err != nil {
				return err
			}
			to := Cursor{UIDValidity: 7, Next: max(1, from.Next) + 2}
			_, err = s.Mail.Record(Arrival{Account: shared.ID, Folder: folder, From: from, To: to, Mails: []Message{{UID: to.Next - 2}, {UID: to.Next - 1}}, At: dawn})
			return err
		})
		worker(func(i int) error {
			_, err := s.Mail.Clear(shared.ID, folder, 7, []uint32{uint32(i), uint32(i + 1)}, dawn)
			return err
		})
	}
	for range 2 {
		worker(func(i int) error { return settleOne(s, i) }, ErrNotFound)
	}
	worker(func(i int) error {
		_, _, err := s.Devices.Register(routed(idlepush.Device{User: bob.ID, Name: "bob's", Transport: FCM, Address: idlepush.Secret("token " + strconv.Itoa(i%3)), Content: idlepush.LevelSubject}), "", dawn)
		return err
	})
	worker(func(i int) error {
		list, err := s.Devices.List(bob.ID)
		if err != nil || len(list) == 0 {
			return err
		}
		return s.Devices.Remove(list[i%len(list)], "")
	}, ErrStale, ErrNotFound)
	worker(func(i int) error {
		a, err := s.Accounts.Get(shared.ID)
		if err != nil {
			return err
		}
		a.SharedWith = []string{bob.ID}[:i%2]
		_, err = s.Accounts.Update(a, dawn)
		return err
	}, ErrStale)
	worker(func(i int) error { return s.Purge(t.Context(), dawn) })
	worker(func(i int) error { return s.Outbox.ProbeLanes(dawn) })
	wg.Wait()
	checkRows(t, s)
}

// settleOne takes what is due first and settles it.
func settleOne(s *Store, i int) error {
	list, err := s.Outbox.Due(dawn.Add(time.Hour), room(1), nil)
	if err != nil || len(list) == 0 {
		return err
	}
	w, ok, err := s.Outbox.Next(list[0].Device, dawn)
	if err != nil || !ok {
		return err
	}
	return settleWork(s, w, Outcome{Result: []Result{ResultDelivered, ResultRetry, ResultRefused}[i%3], LaneWorks: i%2 == 0, PauseFor: time.Duration(i % 5)}, dawn)
}

// noLostEdit: whoever read a row that has changed since is told so, and reads
// it again.
func noLostEdit(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "phone")
	const people, edits = 4, 20
	stale := make(chan bool, 2*people*edits*people)
	insist := func(edit func() error) {
		for {
			err := edit()
			if err == nil {
				return
			}
			if !errors.Is(err, ErrStale) {
				t.Error(err)
				return
			}
			stale <- true
		}
	}
	var wg sync.WaitGroup
	for i := range people {
		wg.Go(func() {
			for n := range edits {
				mark := fmt.Sprint(i, " ", n)
				insist(func() error {
					a, err := s.Accounts.Get(a.ID)
					if err != nil {
						return err
					}
					a.Folders = append(a.Folders, mark)
					_, err = s.Accounts.Update(a, dawn)
					return err
				})
				insist(func() error {
					d, err := s.Devices.Get(d.ID)
					if err != nil {
						return err
					}
					d.Accounts = append(d.Accounts, mark)
					_, err = s.Devices.Update(d, dawn)
					return err
				})
			}
		})
	}
	go func() {
		for range stale {
		}
	}()
	wg.Wait()
	close(stale)
	a, err := s.Accounts.Get(a.ID)
	if err != nil || len(a.Folders) != 1+people*edits {
		t.Errorf("the mailbox has %d folders, want %d, %v", len(a.Folders), 1+people*edits, err)
	}
	if d, err = s.Devices.Get(d.ID); err != nil || len(d.Accounts) != people*edits {
		t.Errorf("the device has %d marks, want %d, %v", len(d.Accounts), people*edits, err)
	}
}

func staleEdit(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "phone")
	edit := func() (account, device error) {
		_, account = s.Accounts.Update(a, dawn)
		_, device = s.Devices.Update(d, dawn)
		return account, device
	}
	if account, device := edit(); account != nil || device != nil {
		t.Fatalf("the first: %v, %v", account, device)
	}
	before := content(t, s)
	if account, device := edit(); !errors.Is(account, ErrStale) || !errors.Is(device, ErrStale) {
		t.Errorf("the second: %v, %v", account, device)
	}
	if err := s.Devices.Remove(d, ""); !errors.Is(err, ErrStale) {
		t.Errorf("the removal: %v", err)
	}
	differ(t, "stale edits", content(t, s), before)
}
