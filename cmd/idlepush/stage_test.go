package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"idlepush"
	"idlepush/cmd/idlepush/metrics"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/push/pushtest"
	"idlepush/registry/registrytest"
	"idlepush/watcher/imaptest"
	"idlepush/web"
)

// mailEvery is how often mail comes to the mailbox of a stage.
const mailEvery = 5 * time.Minute

// enoughRoom is that on the disk of a stage, in bytes.
const enoughRoom = 1 << 40

// stageOrigin is where the page of a stage is.
const stageOrigin = "https://push.example.org"

// stage is a bench in a synctest bubble, with all that tells people and programs whether idlepush
// works: the page, the metrics and the dead-man's URL. Its phones report what they show.
type stage struct {
	*testing.T
	*bench

	net     memoryNetwork
	alive   *memoryServer // where the dead-man's URL is
	token   string        // of the person whose page it is
	page    atomic.Pointer[web.Server]
	figures http.Handler
	leave   func() // ends all but the core

	hung    atomic.Bool // the loop over queues
	silent  atomic.Bool // the first phone reports nothing
	room    atomic.Uint64
	reports sync.WaitGroup
	scrapes scrapes

	mu    sync.Mutex
	calls []call // of the dead-man's URL; guarded by mu
}

// call is one of the dead-man's URL.
type call struct {
	at     time.Time
	broken string // empty: all is well
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t}
	log, _ := registrytest.NewLog(t)
	var err error
	s.bench, err = newBench(t.TempDir(), hardship{}, network{s.net.listen, s.net.dial}, maxRing, log)
	systemtest.Must(t, err)
	s.mailbox.Beat = imaptest.Beat{}
	s.room.Store(enoughRoom)
	s.prepare(s.core)
	open := s.open
	s.open = func() (*core, error) {
		syscall.ForkLock.RLock() // see registrytest.open
		defer syscall.ForkLock.RUnlock()
		c, err := open()
		if err == nil {
			s.prepare(c)
		}
		return c, err
	}
	s.received = func(address idlepush.Secret, payload []byte, at time.Time) {
		s.ledger.ring(address, payload, at)
		var p struct{ Receipt string }
		if err := json.Unmarshal(payload, &p); err != nil {
			s.Error(err)
		} else if !s.silent.Load() || address != s.phones[0].Address {
			s.reports.Go(func() { s.report(p.Receipt) })
		}
	}
	return s
}

// prepare makes the metrics of a core that does not run yet, and a loop of it that can hang.
func (s *stage) prepare(c *core) {
	figures := metrics.New("test")
	c.dispatcher.Sent, c.pool.Ended = figures.Sent, figures.Ended
	looked := c.dispatcher.Looked
	c.dispatcher.Looked = func() {
		for s.hung.Load() {
			time.Sleep(time.Second)
		}
		looked()
	}
	c.house.room = func() (uint64, bool) { return s.room.Load(), true }
	figures.Collect(c.store, c.pool, metrics.Machine{Room: c.house.room, Looked: c.house.loops.age, Broken: c.house.broken})
	s.figures = figures.Handler(c.log)
}

// report has a phone report that it shows what it received. It keeps the report until it is taken.
func (s *stage) report(path string) {
	if path == "" || s.page.Load() == nil { // a push that nobody asks about, such as the first
		return
	}
	time.Sleep(time.Second)
	now := time.Now()
	err := errors.New("not tried")
	for end := now.Add(2 * time.Hour); err != nil && time.Now().Before(end); time.Sleep(time.Minute) {
		err = s.request("POST", path, map[string]any{"received": now, "shown": now, "now": time.Now()}, nil)
	}
	if err != nil {
		s.Error(err)
	}
}

// play runs everything until try returns.
func (s *stage) play(try func(context.Context)) {
	s.Helper()
	l, err := s.net.listen()
	systemtest.Must(s.T, err)
	s.alive = l.(*memoryServer)
	err = s.bench.run(s.Context(), func(ctx context.Context) error {
		var group errgroup.Group
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		group.Go(func() error { return pushtest.Serve(ctx, s.alive, http.HandlerFunc(s.called)) })
		if err := s.begin(ctx); err != nil {
			return err
		}
		s.watch(ctx)
		try(ctx)
		s.leave()
		s.reports.Wait()
		stop()
		return group.Wait()
	})
	systemtest.Must(s.T, err)
}

// watch begins to look at whether idlepush works, as serve does.
func (s *stage) watch(ctx context.Context) {
	s.Helper()
	c := s.core
	var group errgroup.Group
	ctx, stop := context.WithCancel(ctx)
	page, err := settings{publicURL: stageOrigin}.handler(ctx, c, s.figures)
	systemtest.Must(s.T, err)
	s.page.Store(page)
	if s.token == "" {
		_, s.token, err = c.store.Logins.AddToken(s.phones[0].User, "page", idlepush.ScopeFull, "", time.Now())
		systemtest.Must(s.T, err)
	}
	group.Go(func() error { page.Run(ctx); return nil })
	group.Go(func() error { return purge(ctx, c.store, c.log) })
	url := "http://" + s.alive.Addr().String() + "/planted-id"
	group.Go(func() error {
		settings{monitoring: monitoringSettings{alive: idlepush.Secret(url)}}.deadMan(c).run(ctx)
		return nil
	})
	s.leave = func() {
		stop()
		group.Wait()
	}
}

// called is the dead-man's URL.
func (s *stage) called(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if fails := strings.HasSuffix(r.URL.Path, "/fail"); fails != (len(body) > 0) {
		s.Errorf("%s is called with %q", r.URL.Path, body)
	}
	s.calls = append(s.calls, call{time.Now(), string(body)})
}

// since returns the calls from a time on.
func (s *stage) since(from time.Time) []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c call) bool { return c.at.Before(from) })
}

// latest returns the last call.
func (s *stage) latest() call {
	calls := s.since(time.Time{})
	return calls[len(calls)-1]
}

// live lets time pass, in which mail comes and Prometheus asks.
func (s *stage) live(d time.Duration) {
	for range int(d / time.Minute) {
		time.Sleep(time.Minute)
		if s.scrapes.add(s.figures); s.scrapes.n%int(mailEvery/time.Minute) == 0 {
			s.arrive()
		}
	}
}

// stageState is what the page says first.
type stageState struct {
	Well               bool
	Mailboxes, Devices int
	Broken             []struct{ Code, Reason string }
}

func (s *stage) state() (now stageState) {
	s.Helper()
	if err := s.request("GET", "/api/v1/state", nil, &now); err != nil {
		s.Error(err)
	}
	return now
}

// request makes a request of the page or an app.
func (s *stage) request(method, path string, body any, out any) error {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(body); err != nil {
		return err
	}
	r := httptest.NewRequest(method, stageOrigin+path, &text)
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	s.page.Load().ServeHTTP(answer, r)
	if answer.Code/100 != 2 {
		return fmt.Errorf("%s %s answers %d: %s", method, path, answer.Code, answer.Body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer.Body.Bytes(), out)
}
