package watcher

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
)

func TestEvidence(t *testing.T) {
	t.Parallel()
	t.Run("when one session finds its connection dead, the others at the host ask within seconds", othersAsk)
	t.Run("a session that keeps losing its connection has the others ask at most every five minutes", othersAskRarely)
	t.Run("a round of questions begins at once, or when the last is long enough ago", roundsOfQuestions)
	t.Run("once a connection has died unnoticed, the next that does delays mail by less than two minutes", diedUnnoticedBefore)
	t.Run("a heartbeat is expected of each connection to a host that sends one", heartbeatOfHost)
}

// path is a network on which all connections that are open can be made to pass nothing.
type path struct {
	memoryNet
	open []*natted
}

func (p *path) dialVia(ctx context.Context, address string) (net.Conn, error) {
	conn, err := p.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	via := &natted{Conn: conn, forgets: 1000 * time.Hour, last: time.Now()}
	p.open = append(p.open, via)
	return via, nil
}

// vanish makes all open connections pass nothing in either direction.
func (p *path) vanish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.open {
		conn.mu.Lock()
		conn.forgotten = true
		conn.mu.Unlock()
	}
	p.open = nil
}

// colleagues runs a pool for so many accounts at one server, which begin a minute apart.
func colleagues(t *testing.T, count int, script *imaptest.Script) (h *harness, p *path, stop func()) {
	t.Helper()
	p = &path{memoryNet: memoryNet{servers: map[string]*server{"mail.example.org:993": {script: script}}}}
	account := func(n int) idlepush.Account {
		a := scriptedAccount
		a.Security, a.Username, a.Email = idlepush.SecurityPlain, fmt.Sprint("user", n), fmt.Sprint("user", n, "@example.org")
		return a
	}
	h = newHarness(t, account(0))
	h.trustIdle(t)
	_, end := h.watch(t, Dialer{Permit: permitAll, Dial: p.dialVia})
	for n := 1; n < count; n++ {
		time.Sleep(time.Minute)
		h.add(t, account(n))
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	return h, p, func() {
		end()
		p.serving.Wait()
	}
}

func othersAsk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const count = 6
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		h, p, stop := colleagues(t, count, script)
		defer stop()
		p.vanish()
		script.Deliver(imaptest.Message{Header: subject("into the hole"), Date: time.Now()})
		time.Sleep(2 * usualInterval)
		synctest.Wait()
		got := h.mails(t)
		if len(got) != count {
			t.Fatalf("%d of %d were notified", len(got), count)
		}
		first, last := got[0].At, got[0].At
		for _, n := range got {
			first, last = earlier(first, n.At), later(last, n.At)
		}
		if spread := last.Sub(first); spread > timeout+5*time.Second {
			t.Errorf("the last was notified %v after the first", spread)
		}
	})
}

func diedUnnoticedBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Date: time.Now().AddDate(0, 0, -3)}}}
		h, p, stop := colleagues(t, 1, script)
		defer stop()
		p.vanish()
		for n := range 20 {
			time.Sleep(2*time.Hour + time.Duration(n)*7*time.Second)
			began := time.Now()
			p.vanish()
			script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("into hole ", n)), Date: began})
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if got := h.mails(t); len(got) != n+1 || got[n].At.Sub(began) > 2*time.Minute {
				t.Fatalf("after %d holes, %q were notified, the last after %v", n+1, subjects(got), got[len(got)-1].At.Sub(began))
			}
		}
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func othersAskRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Int32 // of the sessions that keep their connection
		var mine sync.Map     // *imaptest.Talk: of the session that keeps losing its connection
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		script.On = map[string]func(*imaptest.Talk, string){
			"LOGIN": func(talk *imaptest.Talk, args string) {
				if strings.Contains(args, "user0") {
					mine.Store(talk, true)
				}
				talk.Answer("LOGIN", args)
			},
			"DONE": func(talk *imaptest.Talk, _ string) {
				done.Add(1)
				talk.OK("done")
			}}
		script.Beat = imaptest.Beat{Every: 10 * time.Second, Do: func(talk *imaptest.Talk, _ int) {
			if _, ok := mine.Load(talk); ok {
				talk.Bye("not you")
			}
		}}
		_, _, stop := colleagues(t, 3, script)
		defer stop()
		before := done.Load()
		time.Sleep(time.Hour)
		// A refresh of each in about eight and a half minutes, and a round in five.
		if n := done.Load() - before; n < 20 || n > 2*(60/5+60/8)+4 {
			t.Errorf("the two others ended IDLE %d times in an hour", n)
		}
	})
}

func roundsOfQuestions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		last, at time.Duration // from now
		ok       bool
	}{{-time.Hour, 0, true}, {-askRest, 0, true}, {-time.Minute, askRest - time.Minute, true}, {time.Minute, 0, false}} {
		at, ok := nextRound(noon.Add(c.last), noon)
		if ok != c.ok || ok && !at.Equal(noon.Add(c.at)) {
			t.Errorf("with the last round %v from now it begins at %v, %v", c.last, at, ok)
		}
	}
	if at, ok := nextRound(time.Time{}, noon); !ok || !at.Equal(noon) {
		t.Errorf("the first begins at %v, %v", at, ok)
	}
}

// heartbeatOfHost has a server that beats every two minutes. A session that has heard none of it
// finds its connection dead because another has.
func heartbeatOfHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Date: time.Now().AddDate(0, 0, -3)}}, Beat: imaptest.Beat{Every: 2 * time.Minute, Do: func(talk *imaptest.Talk, _ int) {
			talk.Say("* OK Still here\r\n")
		}}}
		h, p, stop := colleagues(t, 1, script)
		defer stop()
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		script.Renumber() // ends the connection
		time.Sleep(time.Minute)
		synctest.Wait()
		p.vanish()
		began := time.Now()
		script.Deliver(imaptest.Message{Header: subject("into the hole"), Date: began})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		got := h.mails(t)
		if len(got) != 1 || got[0].At.Sub(began) > 4*time.Minute+timeout {
			t.Errorf("%q were notified", subjects(got))
		}
	})
}
