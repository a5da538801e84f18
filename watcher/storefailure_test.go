package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

func TestStoreFailure(t *testing.T) {
	t.Parallel()
	t.Run("no transaction that fails costs anything", anyTransactionFails)
	t.Run("an hour in which the store takes nothing costs an hour and nothing else", storeFullForAnHour)
	t.Run("accounts that cannot be read are read again, and running sessions go on", accountsUnreadable)
}

// fault is what lets the transactions of a store fail.
type fault struct {
	fails func(method string, n int) bool // asked with each method's own count

	mu     sync.Mutex
	armed  bool
	counts map[string]int // of transactions while it was armed, by the store's method
	failed int
}

var errFull = errors.New("no space left on device")

func (f *fault) next() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return nil
	}
	if f.counts == nil {
		f.counts = make(map[string]int)
	}
	method := storeMethod()
	f.counts[method]++
	if f.fails(method, f.counts[method]) {
		f.failed++
		return errFull
	}
	return nil
}

// storeMethod is the method of the store that was called. Of several that share a commit it is the
// one that commits.
func storeMethod() (name string) {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if method, ok := strings.CutPrefix(f.Function, "idlepush/registry.Mail."); ok && !strings.Contains(method, ".") {
			name = method // the last is the one that was called from outside
		}
	}
	return name
}

// without runs what the test itself does with the store, which must not fail.
func (f *fault) without(do func() error) error {
	synctest.Wait()
	f.arm(false)
	defer f.arm(true)
	return do()
}

func (f *fault) arm(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = on
}

// threeAccounts returns a harness with a failing store and three accounts, each at its own server.
func threeAccounts(t *testing.T, f *fault) (h *harness, second, third idlepush.Account) {
	t.Helper()
	first := scriptedAccount
	first.Security, first.Host, first.Folders = idlepush.SecurityPlain, "folders.example.org", []string{"INBOX", "B"}
	h = newFailingHarness(t, first, f.next)
	second, third = first, first
	second.Host, second.Email, second.Folders = "script.example.org", "second@example.org", []string{"INBOX"}
	third.Host, third.Email, third.Folders = "other.example.org", "third@example.org", []string{"INBOX"}
	return h, h.add(t, second), h.add(t, third)
}

// workday is a short day of three accounts, whose store may fail meanwhile: mail in two folders and
// at two servers, some of it read, moved or removed elsewhere; connections that are lost; a folder
// that is renumbered; an account that is edited and one that is removed. It fails unless every
// message was notified once and all accounts are watched in the end.
func workday(t *testing.T, f *fault) *harness {
	t.Helper()
	h, second, third := threeAccounts(t, f)
	old := imaptest.Message{UID: 1, Header: subject("old"), Date: time.Now().AddDate(0, 0, -3)}
	folderServer := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
	script, other := &imaptest.Script{Messages: []imaptest.Message{old}, UIDValidity: 1}, &imaptest.Script{Messages: []imaptest.Message{old}}
	w := &memoryNet{servers: map[string]*server{"script.example.org:993": {script: script}, "other.example.org:993": {script: other}}}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		if address == "folders.example.org:993" {
			return folderServer.dial(ctx, address)
		}
		return w.dial(ctx, address)
	}
	wait := func(d time.Duration) {
		time.Sleep(d)
		synctest.Wait()
	}
	var sent []string
	mail := func() (header string) {
		name := fmt.Sprint("mail ", len(sent))
		sent = append(sent, name)
		return subject(name)
	}
	deliver := func(to *imaptest.Script) uint32 {
		return to.Deliver(imaptest.Message{Header: mail(), Date: time.Now()})
	}

	f.arm(true)
	pool, stop := h.watch(t, Dialer{Permit: permitAll, Dial: dial})
	wait(3 * time.Minute)
	folderServer.deliver("INBOX", mail(), time.Now()) // 0: is moved
	folderServer.deliver("B", mail(), time.Now())     // 1: is removed
	read := deliver(script)                           // 2: is read
	deliver(other)                                    // 3: goes with its account
	wait(5 * time.Minute)
	m := folderServer.remove("INBOX", 1)
	folderServer.deliver("B", m.Header, m.Date)
	folderServer.remove("B", 1)
	script.Flag(read, `\Seen`)
	wait(5 * time.Minute)
	script.Renumber()
	deliver(script)
	folderServer.cut = time.Minute
	folderServer.deliver("B", mail(), time.Now())
	wait(5 * time.Minute)
	folderServer.cut = 0
	err := f.without(func() error {
		second.Email = "renamed@example.org"
		var err error
		second, err = h.store.Accounts.Update(second, time.Now())
		return errors.Join(err, h.store.Accounts.Remove(third.ID, time.Now()))
	})
	if err != nil {
		t.Fatal(err)
	}
	deliver(script)
	folderServer.deliver("INBOX", mail(), time.Now())
	wait(20 * time.Minute)
	f.arm(false)
	wait(2 * firstRetryWait) // the last may just have failed
	running := pool.Live(h.account.ID).Connections + pool.Live(second.ID).Connections
	if running != 2 || pool.Live(third.ID).Connections != 0 {
		t.Errorf("there are %d connections, and %+v to the account that was removed", running, pool.Live(third.ID))
	}
	h.allWatching(t)
	stop()
	w.serving.Wait()
	folderServer.serving.Wait()
	h.checkDay(t, sent)
	return h
}

// checkDay fails unless every message of the day was notified once, and those that were read or
// removed were cleared.
func (h *harness) checkDay(t *testing.T, sent []string) {
	t.Helper()
	ofRemovedAccount := func(subject string) bool { return subject == "mail 3" }
	sent, notified := slices.DeleteFunc(sent, ofRemovedAccount), slices.DeleteFunc(subjects(h.mails(t)), ofRemovedAccount)
	if wrong := missing(sent, notified); len(wrong) > 0 {
		t.Error(strings.Join(wrong, "; "))
	}
	cleared := h.cleared(t)
	if slices.Sort(cleared); !slices.Equal(cleared, []string{"mail 1", "mail 2"}) {
		t.Errorf("cleared are %q", cleared)
	}
}

// Whichever transaction of a day fails (by default, of the frequent kinds, some): nothing is lost
// or notified twice, and the log has the failure and what follows from it.
func anyTransactionFails(t *testing.T) {
	t.Parallel()
	var counts map[string]int
	synctest.Test(t, func(t *testing.T) {
		f := &fault{fails: func(string, int) bool { return false }}
		if lines := workday(t, f).errorLines(); len(lines) > 0 {
			t.Fatalf("the log has the errors %q", lines)
		}
		counts = f.counts
	})
	for _, method := range []string{"Accounts", "SetState", "Host", "Cursor", "Level", "Record", "Announced", "Clear", "ClearRemoved", "SetUnread"} {
		if counts[method] == 0 {
			t.Errorf("%s is not called in a day: %v", method, counts)
		}
	}
	random := testenv.Rand(t)
	for _, method := range slices.Sorted(maps.Keys(counts)) {
		count, first, step := counts[method], 0, 1
		if count > 20 && !testenv.Soak {
			step = 10
			first = random.IntN(step)
		}
		for n := first; n < count; n += step {
			t.Run(fmt.Sprint(method, n+1), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &fault{fails: func(name string, at int) bool { return name == method && at == n+1 }}
					h := workday(t, f)
					lines := h.errorLines()
					// A commit may be shared by all three accounts.
					if least := f.failed; len(lines) < least || len(lines) > 3*least {
						t.Errorf("after %d transactions that failed the log has %d lines of errors", least, len(lines))
					}
					for _, line := range lines {
						if !strings.Contains(line, errFull.Error()) || !strings.Contains(line, "again") {
							t.Errorf("the log says %q", line)
						}
					}
				})
			})
		}
	}
}

func (h *harness) errorLines() (lines []string) {
	for line := range strings.Lines(h.logged.String()) {
		if strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
	}
	return lines
}

func storeFullForAnHour(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(string, int) bool{
		"nothing can be read or written": func(string, int) bool { return true },
		"every other of a kind fails":    func(_ string, n int) bool { return n%2 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := scriptedAccount
				a.Security, a.Folders = idlepush.SecurityPlain, []string{"INBOX", "B"}
				f := &fault{fails: fails}
				h := newFailingHarness(t, a, f.next)
				s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
				_, stop := h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				f.arm(true)
				logins := s.asked("LOGIN")
				var sent []string
				for i := range 12 {
					for _, folder := range []string{"INBOX", "B"} {
						sent = append(sent, fmt.Sprint(folder, " ", i))
						s.deliver(folder, subject(sent[len(sent)-1]), time.Now())
					}
					time.Sleep(5 * time.Minute)
				}
				synctest.Wait()
				f.arm(false)
				if n := s.asked("LOGIN") - logins; name == "nothing can be read or written" && n > 30 {
					t.Errorf("%d logins in the hour", n)
				}
				// The next try comes within 15 min.
				time.Sleep(16 * time.Minute)
				synctest.Wait()
				h.allWatching(t)
				if wrong := missing(sent, subjects(h.mails(t))); len(wrong) > 0 {
					t.Error(strings.Join(wrong, "; "))
				}
				if lines := h.errorLines(); len(lines) == 0 || len(lines) > 200 {
					t.Errorf("%d lines of the log are errors", len(lines))
				}
				stop()
				s.serving.Wait()
			})
		})
	}
}

func accountsUnreadable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := scriptedAccount
		a.Security = idlepush.SecurityPlain
		f := &fault{fails: func(string, int) bool { return true }}
		h := newFailingHarness(t, a, f.next)
		h.trustIdle(t)
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		pool, stop := h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
		time.Sleep(90 * time.Second) // no session looks in the next minutes
		f.arm(true)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		f.arm(false)
		if lines := h.errorLines(); len(lines) != 3 || f.failed != 3 {
			t.Errorf("%d transactions failed, and the log has the errors %q", f.failed, lines)
		}
		other := a
		other.Username = "other"
		other = h.add(t, other)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := pool.Live(other.ID).Connections; n != 1 || s.asked("LOGIN") != 2 {
			t.Errorf("the account that was added has %d connections; there were %d logins", n, s.asked("LOGIN"))
		}
		stop()
		s.serving.Wait()
	})
}
