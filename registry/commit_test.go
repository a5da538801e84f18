package registry

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"idlepush/registry/testenv"
)

// commits is how many transactions have been committed so far.
func commits(t testing.TB, s *Store) (n int) {
	t.Helper()
	if err := s.view(func(tx *bolt.Tx) error { n = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// holdCommit begins a transaction and keeps it until release is called.
func holdCommit(t testing.TB, s *Store) (release func()) {
	t.Helper()
	held, end := make(chan struct{}), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		err := s.update(func(*bolt.Tx) error {
			close(held)
			<-end
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	return func() {
		close(end)
		done.Wait()
	}
}

// awaitWaiting returns when n calls wait for the next commit.
func awaitWaiting(t testing.TB, s *Store, n int) {
	t.Helper()
	testenv.Await(t, "calls wait for the next commit", func() error {
		if got := s.queued(); got != n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

func (s *Store) queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return 0
	}
	return len(s.open.writes)
}

func TestWritersThatWaitShareOneCommitAndOneThatFailsFailsAlone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	const writers = 64
	var mailboxes []Account
	var looks []Arrival
	for i := range writers {
		a := mailbox(t, s, ann, fmt.Sprintf("%d@example.org", i))
		look := arrival(t, s, a, 1, dawn)
		if i%8 == 3 {
			look.From.Next++ // stale
		}
		mailboxes, looks = append(mailboxes, a), append(looks, look)
	}
	before := commits(t, s)
	release := holdCommit(t, s)
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for i, look := range looks {
		wg.Go(func() { _, errs[i] = s.Record(look) })
	}
	awaitWaiting(t, s, writers)
	release()
	wg.Wait()

	if n := commits(t, s) - before; n != 2 {
		t.Errorf("%d writers took %d commits, want the one that ran and one more", writers, n)
	}
	for i, err := range errs {
		c, cursorErr := s.Cursor(mailboxes[i].ID, "INBOX")
		if cursorErr != nil {
			t.Fatal(cursorErr)
		}
		stale := i%8 == 3
		if errors.Is(err, ErrStale) != stale || (c.Next == 2) == stale {
			t.Errorf("writer %d: %v, cursor %+v", i, err, c)
		}
	}
}

func TestACallThatPanicsLeavesNothingBehindAndTheStoreGoesOn(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	phone(t, s, ann, "phone")

	release := holdCommit(t, s)
	var wg sync.WaitGroup
	var recordErr, panicErr error
	look := arrival(t, s, a, 1, dawn)
	wg.Go(func() { _, recordErr = s.Record(look) })
	awaitWaiting(t, s, 1)
	wg.Go(func() {
		panicErr = s.update(func(tx *bolt.Tx) error {
			must(tx.Bucket(outbox).Put([]byte("half"), []byte("written")))
			panic("a row that cannot be written")
		})
	})
	awaitWaiting(t, s, 2)
	release()
	wg.Wait()
	if !errors.Is(recordErr, ErrCorrupt) || !errors.Is(panicErr, ErrCorrupt) {
		t.Errorf("who shared the commit got %v and %v", recordErr, panicErr)
	}
	if c, err := s.Cursor(a.ID, "INBOX"); err != nil || c != (Cursor{}) {
		t.Errorf("half of it was kept: cursor %+v, %v", c, err)
	}
	arrive(t, s, a, 1, dawn) // and newStore's cleanup finds no half-written row
}

// Where more write than one commit takes, nobody is kept at work for the others.
func TestACallReturnsWithItsOwnCommitHoweverManyWaitForTheNext(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	release := holdCommit(t, s)
	var first, second sync.WaitGroup
	for range mostShared {
		first.Go(func() {
			if err := s.update(func(*bolt.Tx) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	awaitWaiting(t, s, mostShared)
	gate := make(chan struct{})
	second.Go(func() {
		if err := s.update(func(*bolt.Tx) error { <-gate; return nil }); err != nil {
			t.Error(err)
		}
	})
	awaitWaiting(t, s, 1)
	release()
	first.Wait() // while the second commit is under way
	close(gate)
	second.Wait()
}

func TestManyWritersAtOnceKeepEveryRow(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	const writers, rounds = 16, 8
	var wg sync.WaitGroup
	for i := range writers {
		a := mailbox(t, s, ann, fmt.Sprintf("%d@example.org", i))
		d := register(t, s, Device{User: ann.ID, Transport: FCM, Token: Secret(fmt.Sprint(i)), Content: Wake, Accounts: []string{a.ID}})
		wg.Go(func() {
			for r := range rounds {
				now := dawn.Add(time.Duration(r) * time.Second)
				ids := arrive(t, s, a, 2, now)
				if got := drain(t, s, d, now); !slices.Equal(got, ids) {
					t.Errorf("writer %d got %v, want %v", i, got, ids)
				}
			}
		})
	}
	wg.Wait()
	if n := len(allNotifications(t, s, ann, 50, dawn)); n != writers*rounds*2 {
		t.Errorf("%d notifications, want %d", n, writers*rounds*2)
	}
}
