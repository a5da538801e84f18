package watcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// memoryNet is a network in memory with mail servers by address.
type memoryNet struct {
	mu      sync.Mutex
	servers map[string]*server
	serving sync.WaitGroup
}

// server is one mail server, with its faults and those of the way to it.
type server struct {
	script  *imaptest.Script
	forgets time.Duration        // after so much silence, a NAT forgets a connection; 0: never
	closes  func() time.Duration // after so much silence, a proxy closes one; nil or 0: never
	down    bool                 // nobody listens
	dials   []time.Time
}

// dial takes the place of the network.
func (w *memoryNet) dial(ctx context.Context, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.servers[address]
	if s == nil {
		return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("no server at %s", address)}
	}
	s.dials = append(s.dials, time.Now())
	if s.down {
		return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("refused")}
	}
	client, peer := net.Pipe()
	w.serving.Go(func() { s.script.Serve(peer) })
	if s.forgets > 0 {
		return &natted{Conn: client, forgets: s.forgets, last: time.Now()}, nil
	}
	if s.closes == nil || s.closes() == 0 {
		return client, nil
	}
	return &proxied{Conn: client, closes: s.closes(), timer: time.AfterFunc(s.closes(), func() { client.Close() })}, nil
}

// dialsOf returns when a server was dialled; the pool may go on dialling meanwhile.
func (w *memoryNet) dialsOf(s *server) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(s.dials)
}

// proxied is a connection through a proxy that closes it after a silence, as nginx does.
type proxied struct {
	net.Conn
	closes time.Duration
	timer  *time.Timer
}

func (p *proxied) Write(b []byte) (int, error) {
	p.timer.Reset(p.closes)
	return p.Conn.Write(b)
}

func (p *proxied) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err == nil {
		p.timer.Reset(p.closes)
	} else if errors.Is(err, io.ErrClosedPipe) {
		err = io.EOF // the other side closed it
	}
	return n, err
}

func (p *proxied) Close() error {
	p.timer.Stop()
	return p.Conn.Close()
}

// natted is a connection through a NAT: forgotten, it passes nothing in either
// direction, and neither side learns of it.
type natted struct {
	net.Conn
	forgets time.Duration

	mu        sync.Mutex
	last      time.Time
	forgotten bool
}

func (n *natted) passes() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.last) > n.forgets {
		n.forgotten = true
	}
	n.last = time.Now()
	return !n.forgotten
}

func (n *natted) Write(p []byte) (int, error) {
	if !n.passes() {
		return len(p), nil
	}
	return n.Conn.Write(p)
}

func (n *natted) Read(p []byte) (int, error) {
	for {
		m, err := n.Conn.Read(p)
		if err != nil || n.passes() {
			return m, err
		}
	}
}

// dies is a server at which one mail of the week may take up to ten minutes: nothing is known of it
// before a connection dies.
const dies = "half-open"

// learning is how long mail comes every few minutes, at the beginning of the week, to the servers
// that are learned.
const learning = 4 * time.Hour

// troubledServer is a server, and what the log says of it.
type troubledServer struct {
	server *server
	says   []string
}

// learns are the servers at which mail, while the host is learned, may take up to ten minutes: a
// connection passes nothing any more, and only a question shows it.
var learns = map[string]bool{"nat-2-min": true, "nat-5-min": true, "nat-15-min": true}

// troubled returns the servers of the simulated week, each wrong in its own way. Some fail at
// random: in a tenth of the week ten times as often.
func troubled(random func(n int) int) map[string]troubledServer {
	after := func(wait time.Duration, do func(*imaptest.Talk)) *imaptest.Script {
		return &imaptest.Script{Beat: imaptest.Beat{Every: wait, Do: func(talk *imaptest.Talk, _ int) { do(talk) }}}
	}
	return map[string]troubledServer{
		"steady":     {&server{script: &imaptest.Script{}}, nil},
		"nat-15-min": {&server{script: &imaptest.Script{}, forgets: 15 * time.Minute}, nil},
		"nat-5-min":  {&server{script: &imaptest.Script{}, forgets: 5 * time.Minute}, []string{"waited too long for the answer to DONE", "IDLE interval changed"}},
		"nat-2-min":  {&server{script: &imaptest.Script{}, forgets: 2 * time.Minute}, []string{"waited too long for the answer to DONE", "IDLE interval changed"}},
		"closes-at-600-s": {&server{script: after(10*time.Minute, func(talk *imaptest.Talk) { talk.Bye("Autologout; idle for too long") })},
			nil}, // above usualInterval too
		"closes-at-300-s": {&server{script: after(5*time.Minute, func(talk *imaptest.Talk) { talk.Bye("Autologout; idle for too long") })},
			[]string{"Autologout", "IDLE interval changed"}},
		"bye": {&server{script: after(time.Minute, func(talk *imaptest.Talk) {
			if random(testenv.Tenth(200)) == 0 {
				talk.Bye("restarting")
			}
		})}, []string{"restarting"}},
		dies: {&server{script: after(time.Minute, func(talk *imaptest.Talk) {
			if random(testenv.Tenth(300)) == 0 {
				talk.Silence()
			}
		})}, []string{"waited too long for the answer to DONE"}},
		"lying-idle": {&server{script: &imaptest.Script{Mute: true}}, []string{"does not report new mail in IDLE"}},
	}
}

// Each mail of a week of trouble is notified once.
func TestWeekOfTrouble(t *testing.T) {
	t.Parallel()
	source := testenv.Rand(t)
	var mu sync.Mutex
	random := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return source.IntN(n)
	}
	week, flipEvery := 16*time.Hour, 5
	if testenv.Soak {
		week, flipEvery = 7*24*time.Hour, 15
	}
	synctest.Test(t, func(t *testing.T) {
		first := scriptedAccount
		first.Host = "steady"
		h := newHarness(t, first)
		w := &memoryNet{servers: make(map[string]*server)}
		flips := &server{script: &imaptest.Script{UIDValidity: 1}}
		all := troubled(random)
		all["uidvalidity-flips"] = troubledServer{flips, []string{"renumbered"}}
		accounts := h.addTroubled(t, w, all)
		pool, stop := h.watch(t, Dialer{Permit: permitAll, Dial: w.dial})
		time.Sleep(time.Minute)
		sent := make(map[string][]string)
		at := make(map[string]time.Time) // when each was sent
		send := func(name string) {
			subject := fmt.Sprintf("%s %d", name, len(sent[name]))
			all[name].server.script.Deliver(imaptest.Message{Header: "Subject: " + subject + "\r\nMessage-ID: <" + strings.ReplaceAll(subject, " ", ".") + ">\r\n\r\n", Date: time.Now()})
			sent[name] = append(sent[name], subject)
			at[subject] = time.Now()
		}
		begin := time.Now()
		for time.Since(begin) < learning {
			time.Sleep(time.Duration(random(int(12 * time.Minute))))
			for name := range learns {
				send(name)
			}
		}
		for n := 0; time.Since(begin) < week; n++ {
			time.Sleep(time.Hour + time.Duration(random(int(time.Hour))))
			afterLook(pool, accounts["lying-idle"].ID) // few others would count as missed
			for name := range all {
				send(name)
			}
			if n%flipEvery == 3 {
				flips.script.Renumber()
			}
		}
		time.Sleep(time.Hour)
		stop()
		w.serving.Wait()
		h.checkWeek(t, all, accounts, sent, at, begin.Add(learning))
	})
}

// addTroubled has an account at each of the servers, the harness's own at "steady", and returns
// them by server.
func (h *harness) addTroubled(t *testing.T, w *memoryNet, all map[string]troubledServer) map[string]idlepush.Account {
	t.Helper()
	accounts := map[string]idlepush.Account{"steady": h.account}
	for name, c := range all {
		w.servers[name+":993"] = c.server
		c.server.script.Messages = []imaptest.Message{{UID: 1, Header: "Subject: old\r\nMessage-ID: <old>\r\n\r\n", Date: time.Now()}}
		if name != "steady" {
			a := scriptedAccount
			a.Host, a.Email = name, name+"@example.org"
			accounts[name] = h.add(t, a)
		}
	}
	// Plain text, because the handshakes of a week take minutes.
	for name, a := range accounts {
		a.Security = idlepush.SecurityPlain
		if _, err := h.store.Accounts.Update(a, time.Now()); err != nil {
			t.Fatal(name, err)
		}
	}
	return accounts
}

// checkWeek fails unless all messages sent to each account were notified once and in time, and the
// log says what was wrong. at has the times of the messages by subject. From learned on, every host
// is learned.
func (h *harness) checkWeek(t *testing.T, all map[string]troubledServer, accounts map[string]idlepush.Account, sent map[string][]string, at map[string]time.Time, learned time.Time) {
	t.Helper()
	notified := make(map[string][]string)
	latest, late := make(map[string]time.Duration), make(map[string]int)
	for _, n := range h.mails(t) {
		notified[n.Account] = append(notified[n.Account], n.Content.Subject)
		sent := at[n.Content.Subject]
		took := n.At.Sub(sent)
		latest[n.Account] = max(latest[n.Account], took)
		if server, _, _ := strings.Cut(n.Content.Subject, " "); took > 2*time.Minute && !(learns[server] && sent.Before(learned)) {
			late[n.Account]++
		}
	}
	for name, c := range all {
		got := notified[accounts[name].ID]
		if !slices.Equal(got, sent[name]) {
			t.Errorf("%s: %d of %d messages were notified: %v", name, len(got), len(sent[name]), missing(sent[name], got))
		}
		if n, worst := late[accounts[name].ID], latest[accounts[name].ID]; n > 1 || n > 0 && name != dies || worst > 10*time.Minute {
			t.Errorf("%s: %d mails were notified too late, one after %v", name, n, worst)
		}
		h.says(t, []string{"account=" + accounts[name].ID, "remote=" + name + ":993"}, c.says)
		known, err := h.store.Mail.Host(name + ":993")
		if err != nil {
			t.Fatal(err)
		}
		d, why := interval(providerOf(name), known)
		t.Logf("%-17s %d messages, the latest after %v, %d connections, interval %v: %s", name, len(got), latest[accounts[name].ID].Round(time.Second),
			len(c.server.dials), d.Round(time.Second), why)
	}
}

// says fails the test unless the lines of the log that hold one of the marks say all of it.
func (h *harness) says(t *testing.T, marks, what []string) {
	t.Helper()
	var lines strings.Builder
	for line := range strings.Lines(h.logged.String()) {
		if slices.ContainsFunc(marks, func(m string) bool { return strings.Contains(line, m) }) {
			lines.WriteString(line)
		}
	}
	for _, w := range what {
		if !strings.Contains(lines.String(), w) {
			t.Errorf("of %q the log does not say %q", marks, w)
		}
	}
}

// missing returns the elements of want that got lacks, and those that got has too often.
func missing(want, got []string) (list []string) {
	count := make(map[string]int)
	for _, g := range got {
		count[g]++
	}
	for _, w := range want {
		if count[w] != 1 {
			list = append(list, fmt.Sprintf("%s was notified %d times", w, count[w]))
		}
		delete(count, w)
	}
	for g := range count {
		list = append(list, "unknown: "+g)
	}
	return list[:min(len(list), 10)]
}
