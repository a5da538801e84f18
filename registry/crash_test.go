package registry

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/testenv"
)

// recordUntilKilled is the child: two mailboxes record and the outbox is emptied, all at once, with
// a byte to stdout after each step.
func recordUntilKilled(dir string) error {
	s, err := Open(dir, Options{Bound: boundGiven()})
	if err != nil {
		return err
	}
	list, err := s.Accounts.List()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(list)+1)
	for i, a := range list {
		wg.Go(func() { errs[i] = recordForever(s, a) })
	}
	wg.Go(func() { errs[len(list)] = settleForever(s) })
	wg.Wait()
	return fmt.Errorf("ended by itself: %v", errs)
}

func step() error {
	_, err := os.Stdout.Write([]byte{'.'})
	return err
}

func recordForever(s *Store, a idlepush.Account) error {
	for n := 0; ; n++ {
		from, err := s.Mail.Cursor(a.ID, "INBOX")
		if err != nil {
			return err
		}
		to := Cursor{UIDValidity: 7, Next: max(from.Next, 1)}
		var mails []Message
		for range 1 + n%4 {
			mails = append(mails, Message{UID: to.Next, Content: idlepush.Content{Subject: fmt.Sprint(to.Next)}})
			to.Next++
		}
		if _, err := s.Mail.Record(Arrival{Account: a.ID, Folder: "INBOX", From: from, To: to, Mails: mails, At: dawn}); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
}

func settleForever(s *Store) error {
	outcomes := []Outcome{{Result: ResultDelivered}, {Result: ResultDelivered}, {Result: ResultRefused, Reason: because("c", "r")}, {Result: ResultRetry, Reason: because("c", "r")}}
	for n := 0; ; {
		list, err := s.Outbox.Due(dawn, room(10), nil)
		if err != nil {
			return err
		}
		for _, q := range list {
			w, ok, err := s.Outbox.Next(q.Device, dawn)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if _, err := s.Outbox.Settle(w, outcomes[n%len(outcomes)], dawn); err != nil {
				return err
			}
			n++
			if err := step(); err != nil {
				return err
			}
		}
	}
}

func TestKillWhileRecording(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, Options{Bound: boundGiven()})
	if err != nil {
		t.Fatal(err)
	}
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	for _, name := range []string{"one", "two"} {
		phone(t, s, ann, name)
	}
	register(t, s, idlepush.Device{User: ann.ID, Name: "three", Transport: FCM, Address: "three", Content: idlepush.LevelWake, Accounts: []string{b.ID}})
	devicesOf := map[string]int{a.ID: 2, b.ID: 3}
	random, kills, mails := testenv.Rand(t), testenv.Tenth(20), 0
	for kill := range kills {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		runAndKill(t, dir, 1+random.IntN(25))
		if s, err = Open(dir, Options{Bound: boundGiven()}); err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		checkRows(t, s)
		mails = 0
		for account, devices := range devicesOf {
			mails += checkMails(t, s, ann, account, devices)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", kill)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if mails < kills {
		t.Errorf("only %d mails were recorded in all", mails)
	}
}

// runAndKill lets a child work for so many steps and kills it in the middle of the next.
func runAndKill(t *testing.T, dir string, steps int) {
	t.Helper()
	cmd := child(t, "record until killed", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, readErr := io.CopyN(io.Discard, bufio.NewReaderSize(out, 16), int64(steps))
	killErr := cmd.Process.Kill()
	if err := cmd.Wait(); err == nil || readErr != nil || killErr != nil {
		t.Fatalf("the child: %v, after %v, %v", err, readErr, killErr)
	}
}

// checkMails: before the cursor every mail has a row or an outcome for every device, past it none
// has anything.
func checkMails(t *testing.T, s *Store, user idlepush.User, account string, devices int) int {
	t.Helper()
	c, err := s.Mail.Cursor(account, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for uid := uint32(1); uid < c.Next+10; uid++ {
		n, err := s.History.Get(user.ID, StableID(account, "INBOX", 7, uid), dawn.Add(time.Hour))
		if uid >= c.Next {
			if err == nil {
				t.Errorf("mail %d is there, but the cursor is at %d", uid, c.Next)
			}
			continue
		}
		if err != nil || len(n.Deliveries) != devices {
			t.Errorf("mail %d has %d deliveries, %v; want %d (the cursor is at %d)", uid, len(n.Deliveries), err, devices, c.Next)
		}
	}
	return int(max(c.Next, 1) - 1)
}
