package watcher

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"idlepush"
	"idlepush/netguard"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/wire"
)

// deliverAll delivers everything queued for the device, as a push service would.
func (h *harness) deliverAll(t *testing.T) {
	t.Helper()
	for {
		w, ok, err := h.store.Outbox.Next(h.device.ID, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return
		}
		if _, err := h.store.Outbox.Settle(w, registry.Outcome{Result: registry.ResultDelivered}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// cleared returns the subjects of the mail that was cleared.
func (h *harness) cleared(t *testing.T) (list []string) {
	t.Helper()
	for _, n := range h.mails(t) {
		if !n.Cleared.IsZero() {
			list = append(list, n.Content.Subject)
		}
	}
	return list
}

func subject(words string) string {
	return "Subject: " + words + "\r\nMessage-ID: <" + strings.ReplaceAll(words, " ", ".") + "@example.org>\r\n\r\n"
}

// harness is a real store with one user, one account, and one device that is notified.
type harness struct {
	store   *registry.Store
	account idlepush.Account
	device  idlepush.Device
	log     *slog.Logger
	logged  *registrytest.Log
	rest    time.Duration // of its pools between two looks at the accounts
}

// rarely is the rest where the store fails in nothing: it signals each change, and in tests of days
// the looks cost much.
const rarely = time.Hour

func TestMain(m *testing.M) {
	if os.Getenv(serveFor) != "" {
		if err := serveBenchmark(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testenv.SetParallel(8)
	goleak.VerifyTestMain(m)
}

// trustIdle has the account's host known as one whose IDLE reports new mail; any other is asked
// every minute, which makes simulated days costly. It must be called before the account is watched.
func (h *harness) trustIdle(t *testing.T) {
	t.Helper()
	// A session without a pool goes by the host without its port.
	for _, name := range []string{h.account.Host, net.JoinHostPort(h.account.Host, strconv.Itoa(h.account.Port))} {
		if err := h.store.Mail.PutHost(name, registry.Host{Reports: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func newHarness(t testing.TB, account idlepush.Account) *harness {
	t.Helper()
	return newFailingHarness(t, account, nil)
}

// newFailingHarness is newHarness with a store whose transactions fail with the error of fault.
func newFailingHarness(t testing.TB, account idlepush.Account, fault func() error) *harness {
	t.Helper()
	h := &harness{rest: rarely}
	if fault != nil {
		h.rest = lookAgain
	}
	h.log, h.logged = registrytest.NewLog(t)
	dir, anna, _ := registrytest.DirWithUsers(t)
	h.store = registrytest.OpenFailing(t, dir, fault)
	t.Cleanup(func() { h.store.Close() })
	account.Owner, account.Enabled, account.Email = anna.ID, true, "anna@example.org"
	if account.Folders == nil {
		account.Folders = []string{"INBOX"}
	}
	now := time.Now()
	var err error
	if h.account, _, err = h.store.Accounts.Add(account, "", now); err != nil {
		t.Fatal(err)
	}
	h.device, _, err = h.store.Devices.Register(idlepush.Device{User: anna.ID, Name: "phone", Transport: "webpush", Lane: "webpush", MustShow: true, Content: idlepush.LevelPreview,
		Address: "https://push.example.org/1"}, "", now)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// watch runs a pool until the test or the returned function ends it.
func (h *harness) watch(t testing.TB, d Dialer) (pool *Pool, stop func()) {
	t.Helper()
	return h.watchBy(t, d, nil)
}

// watchBy is watch with a wall clock of the test's own.
func (h *harness) watchBy(t testing.TB, d Dialer, wall func() time.Time) (pool *Pool, stop func()) {
	t.Helper()
	pool = &Pool{Store: h.store.Mail, Dialer: d, Log: h.log, Now: wall, rest: h.rest}
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

// mails returns the mail notifications, oldest first.
func (h *harness) mails(t testing.TB) (list []idlepush.Notification) {
	t.Helper()
	return slices.DeleteFunc(h.all(t), func(n idlepush.Notification) bool { return n.Code != "" })
}

// notRung returns the mail that did not ring, oldest first.
func (h *harness) notRung(t testing.TB) (list []idlepush.Notification) {
	t.Helper()
	return slices.DeleteFunc(h.all(t), func(n idlepush.Notification) bool { return n.Code == "" })
}

// all returns the mail of the account, oldest first, whether it rang or not.
func (h *harness) all(t testing.TB) (list []idlepush.Notification) {
	t.Helper()
	for after := ""; ; {
		page, next, err := h.store.History.List(h.account.Owner, after, 100, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range page {
			if n.Kind == idlepush.KindMail {
				list = append([]idlepush.Notification{n}, list...)
			}
		}
		if next == "" {
			return list
		}
		after = next
	}
}

// waitMails waits until n mails were notified, and returns all that were.
func (h *harness) waitMails(t testing.TB, n int) (got []idlepush.Notification) {
	t.Helper()
	testenv.Await(t, fmt.Sprintf("%d messages are notified", n), func() error {
		if got = h.mails(t); len(got) < n {
			return fmt.Errorf("%d were notified: %q", len(got), subjects(got))
		}
		return nil
	})
	return got
}

func (h *harness) waitState(t testing.TB, state idlepush.State) idlepush.Status {
	t.Helper()
	return h.waitStateOf(t, h.account.ID, state)
}

// waitStateOf waits until an account is in one of the states.
func (h *harness) waitStateOf(t testing.TB, id string, states ...idlepush.State) idlepush.Status {
	t.Helper()
	var a idlepush.Account
	testenv.Await(t, fmt.Sprint("account ", id, " is ", states), func() (err error) {
		if a, err = h.store.Accounts.Get(id); err == nil && !slices.Contains(states, a.Status.State) {
			err = fmt.Errorf("it is %+v", a.Status)
		}
		return err
	})
	return a.Status
}

// permitAll lets tests dial loopback.
func permitAll(netguard.Target) error { return nil }

func mail(from, subject, text string) []byte {
	return []byte("From: " + from + "\r\nSubject: " + subject + "\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <" + subject +
		"@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text + "\r\n")
}

// scripted returns a session over a pipe to a script, logged in, and its end.
func (h *harness) scripted(ctx context.Context, t testing.TB, script *imaptest.Script, known *failures) (*session, func(), error) {
	t.Helper()
	client, server := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { script.Serve(server) })
	conn := wire.New(ctx, client, wire.DefaultLimits)
	end := func() {
		conn.Close()
		serving.Wait()
	}
	err := conn.Greet(timeout)
	if err == nil {
		err = Dialer{}.authenticate(conn, &h.account)
	}
	return h.session(conn, known), end, err
}

// session returns a session over a connection that is logged in.
func (h *harness) session(conn *wire.Conn, known *failures) *session {
	at := newHost(h.account.Host, h.account.Host, h.store.Mail, h.log, newClock(nil))
	w := &watched{account: &h.account, store: h.store.Mail, host: at, log: h.log, proofs: &proofs{host: at}, asker: newAsker(""), failures: known}
	return newSession(w, conn)
}
