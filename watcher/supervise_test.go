package watcher

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

// newPool is one whose Run has begun, but for the sessions.
func newPool(h *house) *Pool {
	p := &Pool{Store: h.store, Log: h.log, Dialer: Dialer{Permit: permitAll}}
	p.begin()
	return p
}

func TestTheTimeAtTheDoorIsNoTimeThatAConnectionLived(t *testing.T) {
	script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"EXAMINE": func(talk *imaptest.Talk, _ string) { talk.Bye("not today") }}}
	port := serve(t, script)
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, registry.Account{Host: "127.0.0.1", Port: port, Security: registry.Plain, Username: "anna", Password: "p"})
		p := newPool(h)
		at := p.host(h.account)
		for range doorWidth {
			at.door <- struct{}{}
		}
		var running sync.WaitGroup
		running.Go(func() {
			lived, err := p.session(t.Context(), h.account, at, new(poison), &proofs{host: at}, h.log)
			if err == nil || lived >= stable {
				t.Errorf("it is said to have lived %v, %v", lived, err)
			}
		})
		time.Sleep(2 * stable)
		<-at.door
		running.Wait()
	})
}

func TestAnAccountThatCannotBeWrittenOffIsNotLoggedInAnewAtOnce(t *testing.T) {
	var logins atomic.Int32
	script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, _ string) {
		logins.Add(1)
		talk.Say("%s NO [AUTHENTICATIONFAILED] wrong\r\n", talk.Tag)
	}}}
	h := newHouse(t, registry.Account{Host: "127.0.0.1", Port: serve(t, script), Security: registry.Plain, Username: "anna", Password: "p"})
	h.store.Close() // as a full disk: nothing is written
	p := newPool(h)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		defer close(ended)
		p.supervise(ctx, h.account)
	})
	defer running.Wait()
	defer cancel()
	h.wait(t, "it waits to try again", func() bool {
		select {
		case <-ended:
			t.Fatal("it ended, and the next look at the accounts would begin it anew")
		default:
		}
		return strings.Contains(h.logged.String(), "will be tried again")
	})
	if n := logins.Load(); n != 1 {
		t.Errorf("%d logins", n)
	}
}
