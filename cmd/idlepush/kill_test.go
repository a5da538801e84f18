package main

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/cmd/idlepush/metrics"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/watcher"
)

// killStage is a house with a mailbox and a phone, whose parts can be killed, in a bubble.
type killStage struct {
	*testing.T
	store   *registry.Store
	account idlepush.Account
	phone   idlepush.Device
	disk    atomic.Bool // it is full
	hangs   atomic.Bool // the loops of the program do not go round
	uid     uint32
}

// TestKills kills one part after the other, and holds docs/operate.md to what then happens and
// within what time.
func TestKills(t *testing.T) {
	t.Parallel()
	lost := idlepush.Reason{Code: "connection_lost"}
	for _, c := range []struct {
		part, code string
		within     time.Duration
		kill, mend func(*killStage)
	}{
		{"mail server or network", "mailbox_down", 6 * time.Minute,
			func(s *killStage) { s.state(idlepush.StateRetrying, lost) }, func(s *killStage) { s.state(idlepush.StateWatching, idlepush.Reason{}) }},
		{"push service", "push_service_down", 6 * time.Minute,
			func(s *killStage) {
				s.push(registry.Outcome{Result: registry.ResultMisconfigured, PauseFor: 15 * time.Minute, Reason: idlepush.Reason{Code: "fcm_permission_denied"}})
			},
			func(s *killStage) { s.push(registry.Outcome{Result: registry.ResultDelivered, LaneWorks: true}) }},
		{"reports of a phone", "device_unconfirmed", 25 * time.Hour,
			func(s *killStage) {
				for range 3 {
					s.push(registry.Outcome{Result: registry.ResultDelivered})
				}
			},
			func(s *killStage) { s.report(s.push(registry.Outcome{Result: registry.ResultDelivered})) }},
		{"disk", "store_down", time.Minute, func(s *killStage) { s.disk.Store(true) }, func(s *killStage) { s.disk.Store(false) }},
		{"loops of the program", "program_stuck", 7 * time.Minute, func(s *killStage) { s.hangs.Store(true) }, func(s *killStage) { s.hangs.Store(false) }},
		{"program", "", 2 * time.Minute, nil, nil},
	} {
		t.Run(c.part, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(read(t, "docs/operate.md"), fmt.Sprintf("| %s | `%s` | %s |", c.part, c.code, said(c.within))) && c.code != "" {
				t.Errorf("docs/operate.md does not say that the end of the %s is told as %s within %s", c.part, c.code, said(c.within))
			}
			synctest.Test(t, func(t *testing.T) { killed(t, c.code, c.within, c.kill, c.mend) })
		})
	}
}

// said returns a time as the docs do.
func said(d time.Duration) string {
	if d == time.Minute {
		return "1 minute"
	}
	if d < 2*time.Hour {
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return fmt.Sprintf("%d hours", int(d.Hours()))
}

// latest returns the last of the calls.
func latest(calls []aliveCalled) aliveCalled { return calls[len(calls)-1] }

// killed kills a part in a house in which all is well, or the whole program if kill is nil, and
// looks at what then happens.
func killed(t *testing.T, code string, within time.Duration, kill, mend func(*killStage)) {
	s := newKillStage(t)
	var loop func()
	beats := newPulse(&loop)
	h := newHouse(s.store, new(watcher.Pool), beats)
	h.live = func(string) watcher.Live { return watcher.Live{Confirmed: time.Now(), Interval: 9 * time.Minute} }
	var mu sync.Mutex
	var made []aliveCalled // guarded by mu
	calls := func() []aliveCalled {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(made)
	}
	began := time.Now()
	log, _ := registrytest.NewLog(t)
	d := &deadMan{broken: h.broken, log: log, call: func(_ context.Context, broken string) error {
		mu.Lock()
		defer mu.Unlock()
		made = append(made, aliveCalled{time.Since(began), broken})
		return nil
	}}
	ctx, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { d.run(ctx) })
	running.Go(func() {
		for ctx.Err() == nil {
			if !s.hangs.Load() {
				loop()
			}
			select {
			case <-ctx.Done():
			case <-time.After(30 * time.Second):
			}
		}
	})
	defer running.Wait()
	defer end()
	time.Sleep(5*time.Minute + time.Second)
	if len(calls()) != 5 || calls()[4].broken != "" {
		t.Fatalf("while all was well it was called %v", calls())
	}
	if kill == nil {
		end()
		time.Sleep(within)
		if len(calls()) != 5 {
			t.Errorf("after its end it was called %v", calls()[5:])
		}
		return
	}
	kill(s)
	time.Sleep(within)
	if last := latest(calls()); last.broken != code+" 1" {
		t.Fatalf("%v later the last call was %v, want %s", within, last, code)
	}
	if list := h.broken(time.Now()); len(list) != 1 || string(list[0].Code) != code || allCodes().Sentence(list[0].Code, list[0].Params) == "" {
		t.Errorf("broken are %v, want %s", list, code)
	}
	if want := fmt.Sprintf("idlepush_promises_broken{code=%q} 1\n", code); !strings.Contains(s.metrics(h), want) {
		t.Errorf("the metrics do not have %s", want)
	}
	told := len(calls())
	time.Sleep(3 * time.Minute)
	if len(calls()) != told {
		t.Errorf("while it is broken it was called %v", calls()[told:])
	}
	mend(s)
	time.Sleep(time.Minute)
	if last := latest(calls()); last.broken != "" {
		t.Errorf("a minute after it was mended the last call was %v", last)
	}
}

func newKillStage(t *testing.T) *killStage {
	dir, anna, _ := registrytest.DirWithUsers(t)
	s := &killStage{T: t, uid: 1}
	s.store = registrytest.OpenFailing(t, dir, func() error {
		if s.disk.Load() {
			return errors.New("no space left on device")
		}
		return nil
	})
	t.Cleanup(func() { s.store.Close() })
	var err error
	s.account, _, err = s.store.Accounts.Add(idlepush.Account{Owner: anna.ID, Email: "anna@example.org", Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS, Username: "anna", Password: "x", Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
	if err == nil {
		s.phone, _, err = s.store.Devices.Register(idlepush.Device{User: anna.ID, Name: "Pixel", Transport: "fcm", Address: "token", Lane: "fcm", Content: idlepush.LevelSubject, Status: idlepush.Status{State: idlepush.StateProven}}, "", time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.state(idlepush.StateWatching, idlepush.Reason{})
	s.report(s.push(registry.Outcome{Result: registry.ResultDelivered}))
	return s
}

func (s *killStage) state(state idlepush.State, why idlepush.Reason) {
	s.Helper()
	if err := s.store.Mail.SetState(s.account, idlepush.Status{State: state, Since: time.Now(), Reason: why}); err != nil {
		s.Fatal(err)
	}
}

// push has a mail come and its push end with the outcome.
func (s *killStage) push(o registry.Outcome) registry.Work {
	s.Helper()
	from, err := s.store.Mail.Cursor(s.account.ID, "INBOX")
	if err == nil {
		_, err = s.store.Mail.Record(registry.Arrival{Account: s.account.ID, Folder: "INBOX", From: from, To: registry.Cursor{UIDValidity: 1, Next: s.uid + 1},
			Mails: []registry.Message{{UID: s.uid}}, At: time.Now()})
	}
	s.uid++
	w, ok, failed := s.store.Outbox.Next(s.phone.ID, time.Now())
	if err = errors.Join(err, failed); err == nil && ok {
		_, err = s.store.Outbox.Settle(w, o, time.Now())
	}
	if err != nil || !ok {
		s.Fatalf("push: %v, %v", ok, err)
	}
	return w
}

// report has the phone report that it showed the push.
func (s *killStage) report(w registry.Work) {
	s.Helper()
	now := time.Now()
	if err := s.store.Devices.Receive(w.Receipt, receipt.Report{Shown: now, Now: now}, now); err != nil {
		s.Fatal(err)
	}
}

// metrics returns what Prometheus gets.
func (s *killStage) metrics(h *house) string {
	figures := metrics.New("test")
	figures.Collect(s.store, new(watcher.Pool), metrics.Machine{Room: func() (uint64, bool) { return 0, false }, Looked: h.loops.age, Broken: h.broken})
	log, _ := registrytest.NewLog(s.T)
	answer := httptest.NewRecorder()
	figures.Handler(log).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}
