package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/registrytest"
)

// pipes is a listener whose connections are in memory, for use in a synctest bubble.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newPipes() *pipes { return &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.dialled <- server
	return client
}

// get sends a request and returns the body of the answer.
func (p *pipes) get(path string) (body string, err error) {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil }}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://daemon" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func TestServe(t *testing.T) {
	t.Parallel()
	t.Run("shutdown waits 8 s for a request", serveShutdownWaits)
	t.Run("headers take at most 10 s", serveHeaderTimeout)
	t.Run("old activity is deleted at start and every hour, after a failure too", serveDeletesOldActivity)
}

func serveShutdownWaits(t *testing.T) {
	t.Parallel()
	for path, c := range map[string]struct {
		least, most time.Duration // Shutdown polls twice a second
		answered    bool
	}{"/7s": {7 * time.Second, 7550 * time.Millisecond, true}, "/never": {8 * time.Second, 8 * time.Second, false}} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, _ := registrytest.NewLog(t)
				listener := newPipes()
				ctx, stop := context.WithCancel(t.Context())
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if path == "/7s" {
						time.Sleep(7 * time.Second)
					} else {
						<-r.Context().Done()
					}
					fmt.Fprint(w, "done")
				})
				var running sync.WaitGroup
				running.Go(func() {
					if err := serveHTTP(ctx, listener, handler, log); err != nil {
						t.Error(err)
					}
				})
				var asking sync.WaitGroup
				asking.Go(func() {
					if body, err := listener.get(path); (err == nil && body == "done") != c.answered {
						t.Errorf("the answer is %q, %v", body, err)
					}
				})
				synctest.Wait()
				began := time.Now()
				stop()
				running.Wait()
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("it ended after %v", took)
				}
				asking.Wait()
			})
		})
	}
}

func serveHeaderTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { serveHTTP(ctx, listener, http.NotFoundHandler(), slog.New(slog.DiscardHandler)) })
		client := listener.dial()
		began := time.Now()
		fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: ")
		io.Copy(io.Discard, client)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it was hung up after %v", took)
		}
		client.Close()
		stop()
		running.Wait()
	})
}

func serveDeletesOldActivity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		full := false
		store := registrytest.OpenFailing(t, dir, func() error {
			if !full {
				return nil
			}
			if since := time.Since(began); !slices.Contains(at, since) {
				at = append(at, since)
			}
			return errors.New("the disk is full")
		})
		full = true
		log, lines := registrytest.NewLog(t)
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Minute)
		defer stop()
		if err := purge(ctx, store, log); err != nil {
			t.Error(err)
		}
		if !slices.Equal(at, []time.Duration{0, time.Hour, 2 * time.Hour}) {
			t.Errorf("it was tried after %v; the log says %s", at, lines)
		}
		full = false
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestWatchClock(t *testing.T) {
	t.Parallel()
	t.Run("after a sleep every mail server is asked, every queue looked at, and nothing counts as late", clockAsksAll)
	t.Run("a sleep is told also if the last one was not taken in yet", clockTellsAgain)
}

// clockAsksAll has a mail come without a word, and another push wait, when the machine sleeps.
func clockAsksAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.play(func(context.Context) {
			s.fcm.Fail("", tooMany(10*time.Minute))
			s.arrive()
			time.Sleep(time.Second)
			s.mute.Store(true)
			s.arrive()
			time.Sleep(time.Minute)
			if n := strings.Count(s.ledger.lost(s.phones), "did not ring on"); n != 2 {
				t.Fatalf("%d mails have not rung: %s", n, s.ledger.lost(s.phones))
			}
			s.clock.move(8 * time.Hour)
			time.Sleep(11 * time.Second)
			if lost := s.ledger.lost(s.phones); lost != "" {
				t.Errorf("11 s after a sleep have not rung %s", lost)
			}
			s.core.house.mu.Lock()
			defer s.core.house.mu.Unlock()
			if awake := time.Since(s.core.house.awake); awake > 11*time.Second {
				t.Errorf("for what is late, the machine is awake for %v", awake)
			}
		})
	})
}

func clockTellsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := registrytest.NewLog(t)
		var clock registrytest.Clock
		dir, _, _ := registrytest.DirWithUsers(t)
		store := registrytest.Open(t, dir)
		defer store.Close()
		c, err := settings{}.core(store, surroundings{wall: clock.Now}, log)
		systemtest.Must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { c.watchClock(ctx) })
		for range 2 {
			time.Sleep(time.Hour)
			clock.Move(8 * time.Hour)
		}
		time.Sleep(time.Minute)
		cancel()
		watching.Wait()
		if len(c.jumped) != 1 || strings.Count(lines.String(), "jump=8h0m0s") != 2 {
			t.Errorf("the dispatcher is told %d times: %s", len(c.jumped), lines)
		}
	})
}

func TestServePortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, _, errs := command("serve", "--listen", taken.Addr().String(), "--data", t.TempDir())
	if code != 1 || !strings.Contains(errs, "another program has that port") || !strings.Contains(errs, "--listen 127.0.0.1:") {
		t.Errorf("it exits with %d, %q", code, errs)
	}
}
