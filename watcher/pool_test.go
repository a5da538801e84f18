package watcher

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/imaptest/servers"
)

func TestPool(t *testing.T) {
	t.Parallel()
	t.Run("bad servers cost one account a backoff and the others nothing", badServers)
	t.Run("the sessions that run follow the accounts in the store", sessionsFollowStore)
	t.Run("an address that is not permitted is not dialed", addressNotPermitted)
	t.Run("folders that cannot be read are counted, and hide no other", unreadableFolders)
	t.Run("a login refused without a reason that has never worked is refused at once", unclearRefusal)
}

func memoryAccount(m *servers.MemoryServer) idlepush.Account {
	return idlepush.Account{Host: m.Host, Port: m.TLSPort, Security: idlepush.SecurityTLS, Username: m.User, Password: idlepush.Secret(m.Password)}
}

func memoryDialer(m *servers.MemoryServer) Dialer {
	return Dialer{Permit: permitAll, TLS: &tls.Config{RootCAs: m.Roots}}
}

// serve serves a script on loopback and returns its port.
func serve(t *testing.T, script *imaptest.Script) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { script.ServeAll(l) })
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

// add adds an account beside the harness's own, without waiting for a signal.
func (h *harness) add(t testing.TB, a idlepush.Account) idlepush.Account {
	t.Helper()
	a.Owner, a.Enabled = h.account.Owner, true
	if a.Folders == nil {
		a.Folders = []string{"INBOX"}
	}
	a, added, err := h.store.Accounts.Add(a, "", time.Now())
	if err != nil || !added {
		t.Fatalf("added: %v, %v", added, err)
	}
	return a
}

func badServers(t *testing.T) {
	t.Parallel()
	m := servers.Memory(t)
	h := newHarness(t, memoryAccount(m))
	var bad []idlepush.Account
	for _, mode := range []string{"bye-greeting", "http", "deep-parentheses", "endless-greeting", "double-tag", "login-no", "huge-literal", "close-login", "examine-no"} {
		script := &imaptest.Script{}
		imaptest.Hostile[mode](script)
		bad = append(bad, h.add(t, idlepush.Account{Host: "127.0.0.1", Port: serve(t, script), Security: idlepush.SecurityPlain, Username: mode, Password: "planted-password"}))
	}
	h.watch(t, memoryDialer(m))
	h.waitState(t, idlepush.StateWatching)
	for _, a := range bad {
		if status := h.waitStateOf(t, a.ID, idlepush.StateRetrying, idlepush.StateAttention); sentences.Check(status.Code, status.Params) != nil {
			t.Errorf("%s: the status is %+v", a.Username, status)
		}
	}
	m.Append(t, "INBOX", mail("a@example.org", "still notified", ""))
	if got := subjects(h.waitMails(t, 1)); !slices.Equal(got, []string{"still notified"}) {
		t.Errorf("notified %q", got)
	}
}

func sessionsFollowStore(t *testing.T) {
	t.Parallel()
	m := servers.Memory(t)
	h := newHarness(t, memoryAccount(m))
	pool, stop := h.watch(t, memoryDialer(m))
	connections := func(what, account string, want int) {
		t.Helper()
		testenv.Await(t, what, func() error {
			if n := pool.Live(account).Connections; n != want {
				return fmt.Errorf("it has %d connections", n)
			}
			return nil
		})
	}
	connections("boot: it runs", h.account.ID, 1)
	// Until the folder was seen for the first time, mail in it is old.
	h.waitState(t, idlepush.StateWatching)

	off := h.account
	off.Enabled = false
	off, err := h.store.Accounts.Update(off, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	connections("disabled: it does not run", h.account.ID, 0)
	m.Append(t, "INBOX", mail("a@example.org", "while off", ""))

	on := off
	on.Enabled = true
	if _, err := h.store.Accounts.Update(on, time.Now()); err != nil {
		t.Fatal(err)
	}
	connections("enabled: it runs", h.account.ID, 1)
	h.waitMails(t, 1)

	if err := h.store.Accounts.Remove(h.account.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	connections("removed: it does not run", h.account.ID, 0)
	testenv.Await(t, "removed: nothing is kept of it", func() error {
		pool.mu.Lock()
		defer pool.mu.Unlock()
		if len(pool.known)+len(pool.askers) > 0 {
			return fmt.Errorf("%d proofs and %d askers are left", len(pool.known), len(pool.askers))
		}
		return nil
	})
	again := h.add(t, memoryAccount(m))
	connections("added: it runs", again.ID, 1)
	stop()
	if pool.Live(again.ID).Connections != 0 {
		t.Error("it runs after the end")
	}
}

func addressNotPermitted(t *testing.T) {
	t.Parallel()
	m := servers.Memory(t)
	d := memoryDialer(m)
	_, err := d.Check(t.Context(), memoryAccount(m))
	if err != nil {
		t.Fatal(err)
	}
	var dialed []bool
	d.Permit = func(at netguard.Target) error {
		dialed = append(dialed, at.Plain)
		return netguard.ErrPrivate
	}
	for _, security := range []idlepush.Security{idlepush.SecurityTLS, idlepush.SecurityStartTLS, idlepush.SecurityPlain} {
		a := memoryAccount(m)
		a.Security = security
		_, err := d.Check(t.Context(), a)
		if f, ok := errors.AsType[*Failure](err); !ok || f.Code != "address_not_allowed" || f.Params[codes.Case] != privateNetwork {
			t.Errorf("%s: %v", security, err)
		}
	}
	if !slices.Equal(dialed, []bool{false, false, true}) {
		t.Errorf("asked for plain text: %v", dialed)
	}
}

func unreadableFolders(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]int{
		"* LIST () \"/\" INBOX\r\n* LIST () \"/\" Family\r\n":                                            0,
		"* LIST () \"/\" \"5\" disks\"\r\n* LIST () \"/\" INBOX\r\n* LIST () \"/\" Family\r\n* LIST\r\n": 2,
	} {
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LIST": func(talk *imaptest.Talk, _ string) {
			talk.Say("%s", list)
			talk.OK("done")
		}}}
		a := idlepush.Account{Host: "127.0.0.1", Port: serve(t, script), Security: idlepush.SecurityPlain, Username: "anna", Password: "p"}
		able, err := Dialer{Permit: permitAll}.Check(t.Context(), a)
		if err != nil || able.Unreadable != want || !slices.Equal(able.Folders, []Folder{{Name: "Family"}, {Name: "INBOX"}}) {
			t.Errorf("%+v, %v; want %d that cannot be read", able, err, want)
		}
	}
}

func unclearRefusal(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	logins := 0
	script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, _ string) {
		mu.Lock()
		defer mu.Unlock()
		logins++
		talk.Say("%s NO Login failed.\r\n", talk.Tag)
	}}}
	h := newHarness(t, idlepush.Account{Host: "127.0.0.1", Port: serve(t, script), Security: idlepush.SecurityPlain, Username: "anna", Password: "p"})
	_, stop := h.watch(t, Dialer{Permit: permitAll})
	status := h.waitState(t, idlepush.StateAttention)
	stop()
	if logins != 1 || status.Code != "login_refused" || !strings.Contains(status.Params[codes.Said], "Login failed.") {
		t.Errorf("after %d logins the status is %+v", logins, status)
	}
}
