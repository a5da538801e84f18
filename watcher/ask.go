package watcher

import (
	"context"
	"sync"
	"time"

	"idlepush"
	"idlepush/watcher/wire"
)

// asker has an account's session ask its server before it would. It outlives the sessions of one
// supervisor, and its methods may be called from any goroutine.
type asker struct {
	provider string        // that of Account.OAuth
	again    chan struct{} // one value: the wait for a poll or for the next session is over

	mu    sync.Mutex
	conn  *wire.Conn // of the session that runs; nil: none
	loans []func(*wire.Conn)
	works bool // the login has worked elsewhere since the last session
}

func newAsker(provider string) *asker {
	return &asker{provider: provider, again: make(chan struct{}, 1)}
}

// set sets the connection of the session that runs; nil: none does.
func (a *asker) set(conn *wire.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn, a.works = conn, false
	if conn == nil {
		for _, use := range a.loans {
			use(nil)
		}
		a.loans = nil
	}
}

// lend has the session that runs end its wait and call use with its connection, once it has looked
// for mail; with nil if the session ends before. It reports whether there is a session. use must
// not block for long: no mail is found meanwhile.
func (a *asker) lend(use func(*wire.Conn)) bool {
	a.mu.Lock()
	runs := a.conn != nil
	if runs {
		a.loans = append(a.loans, use)
	}
	a.mu.Unlock()
	if runs {
		a.now()
	}
	return runs
}

// takeLoans returns the arguments of the calls of lend since the last takeLoans.
func (a *asker) takeLoans() []func(*wire.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	loans := a.loans
	a.loans = nil
	return loans
}

// connection returns the connection of the session that runs; nil: none does.
func (a *asker) connection() *wire.Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conn
}

// now ends the IDLE, the wait for a poll, or that for the next session.
func (a *asker) now() {
	select {
	case a.again <- struct{}{}:
	default:
	}
	if conn := a.connection(); conn != nil {
		conn.EndIdle(time.Now())
	}
}

// loginWorks ends any wait for the next session, because the login has just worked elsewhere. It
// reports whether there is no session.
func (a *asker) loginWorks() bool {
	a.mu.Lock()
	none := a.conn == nil
	a.works = none
	a.mu.Unlock()
	if none {
		a.now()
	}
	return none
}

// worked reports whether loginWorks was called since, and forgets it.
func (a *asker) worked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	works := a.works
	a.works = false
	return works
}

// asked reports whether now was called since, and forgets it.
func (a *asker) asked() bool {
	select {
	case <-a.again:
		return true
	default:
		return false
	}
}

// sleep is sleep that now ends.
func (a *asker) sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-a.again:
	case <-timer.C:
	}
	return true
}

// AskNow has every session ask its server at once, and ends the waits for polls and for the next
// try after a lost connection. It may be called from any goroutine.
func (p *Pool) AskNow() { p.ask(func(*asker) bool { return true }) }

// AskProvider is AskNow for the accounts that a provider opens: those that wait for an access token
// are tried at once.
func (p *Pool) AskProvider(provider string) {
	p.ask(func(a *asker) bool { return a.provider == provider })
}

func (p *Pool) ask(which func(*asker) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.askers {
		if which(a) {
			a.now()
		}
	}
}

// loginWorks has the account's next session begin at once, because its login has just worked. It
// reports whether there was none.
func (p *Pool) loginWorks(a *idlepush.Account) bool {
	if !a.Enabled {
		return false
	}
	if a.Status.Ended() {
		// Run starts the session when it looks at the accounts again.
		if ended, err := p.Store.TryAgain(*a, time.Now()); err != nil || ended {
			return err == nil
		}
	}
	p.mu.Lock()
	asker := p.askers[a.ID]
	p.mu.Unlock()
	return asker != nil && asker.loginWorks()
}
