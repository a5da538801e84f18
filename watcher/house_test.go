package watcher

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"idlepush/registry"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/wire"
)

// house is a real store with one user, one account and one device that rings for it.
type house struct {
	store   *registry.Store
	account registry.Account
	device  registry.Device
	log     *slog.Logger
	logged  *logBuffer
}

// logBuffer keeps what was logged, for tests that look for secrets in it.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// furnished is a data folder with one user, made once: hashing the password takes longer than most tests. TestMain
// removes it.
var furnished struct {
	once sync.Once
	dir  string
	user registry.User
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(furnished.dir)
		os.Exit(code)
	}))
}

func furnish(t testing.TB) (dir string, user registry.User) {
	furnished.once.Do(func() {
		var err error
		if furnished.dir, err = os.MkdirTemp("", "furnished"); err != nil {
			t.Fatal(err)
		}
		store, err := registry.Open(furnished.dir, registry.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		token, err := store.SetupToken()
		if err != nil {
			t.Fatal(err)
		}
		if furnished.user, _, err = store.Setup(token, "anna", "a long password", "", nil, time.Now()); err != nil {
			t.Fatal(err)
		}
	})
	return furnished.dir, furnished.user
}

func newHouse(t testing.TB, account registry.Account) *house {
	t.Helper()
	dir := t.TempDir()
	template, user := furnish(t)
	if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
		t.Fatal(err)
	}
	store, err := registry.Open(dir, registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	now := time.Now()
	h := &house{store: store, logged: new(logBuffer)}
	h.log = slog.New(slog.NewTextHandler(h.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	account.Owner, account.Enabled, account.Email = user.ID, true, "anna@example.org"
	if account.Folders == nil {
		account.Folders = []string{"INBOX"}
	}
	if h.account, _, err = store.AddAccount(account, now); err != nil {
		t.Fatal(err)
	}
	h.device, _, err = store.PutDevice(registry.Device{User: user.ID, Name: "phone", Transport: registry.WebPush, Content: registry.Preview,
		Subscription: &registry.Subscription{Endpoint: "https://push.example.org/1"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(h.logged.String())
		}
	})
	return h
}

// watch runs a pool until the test or the returned function ends it.
func (h *house) watch(t testing.TB, d Dialer) (pool *Pool, stop func()) {
	t.Helper()
	pool = &Pool{Store: h.store, Dialer: d, Log: h.log}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := pool.Run(ctx); err != nil {
			t.Errorf("the pool ended with %v", err)
		}
	})
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return pool, stop
}

// mails gives what has rung, oldest first.
func (h *house) mails(t testing.TB) (list []registry.Notification) {
	t.Helper()
	for after := ""; ; {
		page, next, err := h.store.Notifications(h.account.Owner, after, 100, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range page {
			if n.Kind == registry.MailKind {
				list = append([]registry.Notification{n}, list...)
			}
		}
		if next == "" {
			return list
		}
		after = next
	}
}

// wait returns as soon as done, and fails the test after 20 s.
func (h *house) wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	h.waitLong(t, what, 20*time.Second, done)
}

// waitLong returns as soon as done, which is asked again at each signal of the store and every 10 ms, and fails the test after limit.
func (h *house) waitLong(t testing.TB, what string, limit time.Duration, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-h.store.OutboxChanged():
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("%s: still not so after %v", what, limit)
		}
	}
}

func (h *house) waitMails(t testing.TB, n int) []registry.Notification {
	t.Helper()
	h.wait(t, fmt.Sprintf("%d mails recorded", n), func() bool { return len(h.mails(t)) >= n })
	return h.mails(t)
}

func (h *house) waitState(t testing.TB, state registry.State) registry.Status {
	t.Helper()
	var a registry.Account
	h.wait(t, "account "+string(state), func() (ok bool) {
		var err error
		if a, err = h.store.Account(h.account.ID); err != nil {
			t.Fatal(err)
		}
		return a.Status.State == state
	})
	return a.Status
}

// permitAll lets tests dial loopback.
func permitAll(netip.Addr, bool) error { return nil }

func mail(from, subject, text string) []byte {
	return []byte("From: " + from + "\r\nSubject: " + subject + "\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <" + subject +
		"@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text + "\r\n")
}

// scripted gives a session over a pipe to a script, logged in, and its end.
func (h *house) scripted(ctx context.Context, t testing.TB, script *imaptest.Script, bad *poison) (*session, func(), error) {
	t.Helper()
	client, server := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { script.Serve(server) })
	conn := wire.New(ctx, client, wire.DefaultLimits)
	end := func() {
		conn.Close()
		serving.Wait()
	}
	err := conn.Greet(patience)
	if err == nil {
		err = Dialer{}.authenticate(conn, h.account)
	}
	return h.session(conn, bad), end, err
}

// session is one over a connection that is logged in.
func (h *house) session(conn *wire.Conn, bad *poison) *session {
	at := newHost(h.account.Host, h.account.Host, h.store, h.log)
	return newSession(h.account, h.store, at, conn, h.log, bad, &proofs{host: at})
}
