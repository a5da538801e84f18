package watcher

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/watcher/wire"
)

// lookAgain is the time between two looks at the accounts, should a signal be lost.
const lookAgain = time.Minute

// Pool runs a session for every enabled account. Fill in the exported fields, then call Run once.
type Pool struct {
	Store  registry.Mail
	Dialer Dialer
	Log    *slog.Logger

	// Ended is called with the host of a session that has ended, and why. It may be nil.
	Ended func(host string, why codes.Code)

	// Looked is called each time Run has looked at the accounts, at least once a minute. It may be
	// nil.
	Looked func()

	Now func() time.Time // the wall clock, which may be wrong and may be set; nil: time.Now

	rest     time.Duration // in tests: instead of lookAgain
	giveBack func()        // in tests: instead of debug.FreeOSMemory
	storm    *storm
	families wire.Families // by which hosts were reached, in this run of the program

	clock   *clock
	workers *workers // nil before it runs
	mu      sync.Mutex
	askers  map[string]*asker  // by account
	hosts   map[string]*host   // by host and port
	known   map[string]*proofs // by account
	opened  map[string]*access // by account with OAuth
}

// Live describes an account's session beside the status in the store: ages, which are not worth
// storing.
type Live struct {
	Connections int             // open now
	LastByte    time.Time       // from the server, in the session that runs; zero: no session
	Confirmed   time.Time       // when the server last confirmed that nothing is new; zero: not yet
	LastMail    time.Time       // when mail was last notified; zero: not yet
	Interval    time.Duration   // how long the connection may be silent; zero: not known yet
	Why         idlepush.Reason // the reason for the interval
	Tour        time.Duration   // between looks at folders that are not reported; zero: none
}

// Live returns the state of the account's session. It may be called from any goroutine.
func (p *Pool) Live(account string) (l Live) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[account]; known != nil {
		l = known.live()
	}
	if a := p.askers[account]; a != nil {
		if conn := a.connection(); conn != nil {
			l.Connections, l.LastByte = 1, conn.LastByte()
		}
	}
	return l
}

// Check is Dialer.Check with the address families that the pool knows for the host, to which it
// adds. If a provider opens the account, it must be one of the store, as it is there but for its
// folders; the *Failure is a registry.ErrStale if it was edited or removed since it was read. Check
// may be called from any goroutine, whether the pool runs or not.
func (p *Pool) Check(ctx context.Context, a idlepush.Account) (able Ability, err error) {
	opened := p.access(&a)
	if opened == nil {
		return p.dialer().Check(ctx, a)
	}
	_, err = opened.open(ctx, &a, func() (err error) {
		able, err = p.dialer().CheckToken(ctx, a, a.Password)
		return err
	})
	if _, told := errors.AsType[*Failure](err); err != nil && !told {
		err = diagnoseCheck(&a, err)
	}
	return able, err
}

// CheckToken is Dialer.CheckToken, as Check is Dialer.Check, for an account that need not be in the
// store.
func (p *Pool) CheckToken(ctx context.Context, a idlepush.Account, token idlepush.Secret) (Ability, error) {
	return p.dialer().CheckToken(ctx, a, token)
}

// Examine is Dialer.Examine for an account of the store, as it is there. If a provider opens it,
// the first step gets an access token. If all works and the account has no session, the next one
// begins at once.
func (p *Pool) Examine(ctx context.Context, a idlepush.Account, wait time.Duration, told func(idlepush.Step)) {
	works := true
	tell := func(s idlepush.Step) {
		told(s)
		works = works && s.Verdict != idlepush.VerdictWrong
		if works && s.Code == "examined_opened" && p.loginWorks(&a) {
			told(stepOf(idlepush.VerdictOK, "examined_tried_again", 0))
		}
	}
	x := &examination{p.dialer(), &a, p.access(&a), tell}
	if x.access != nil {
		a.Password = x.token(ctx, "")
	}
	x.run(ctx, wait)
}

func (p *Pool) dialer() Dialer {
	d := p.Dialer
	d.families = &p.families
	return d
}

// running is one account's supervisor.
type running struct {
	edited time.Time // of the account it runs
	stop   context.CancelFunc
}

// Run keeps a session running for every enabled account, until ctx ends; then it ends all sessions
// and returns. Boot, add, edit and remove are this one comparison.
func (p *Pool) Run(ctx context.Context) error {
	p.begin()
	giveBack := p.giveBack
	if giveBack == nil {
		giveBack = debug.FreeOSMemory
	}
	p.workers = new(workers)
	defer p.workers.end()
	var supervisors sync.WaitGroup
	defer supervisors.Wait()
	current := make(map[string]*running)
	ended := make(chan string)
	start := func(a *idlepush.Account) {
		own, stop := context.WithCancel(ctx)
		current[a.ID] = &running{a.Edited, stop}
		supervisors.Go(func() {
			p.supervise(own, a)
			stop()
			tell(ctx, ended, a.ID)
		})
	}
	rest := cmp.Or(p.rest, lookAgain)
	look := time.NewTimer(rest)
	defer look.Stop()
	for p.look(current, start); ctx.Err() == nil; {
		select {
		case <-p.storm.over.C:
			giveBack()
			continue
		case <-ctx.Done():
			continue
		case id := <-ended:
			delete(current, id)
		case <-p.Store.Changed():
		case <-look.C:
		}
		p.look(current, start)
		look.Reset(rest)
	}
	return nil
}

// tell sends the id of an account whose supervisor has ended, unless ctx ends before. Inlined, it
// would make the stack of every session that waits larger.
//
//go:noinline
func tell(ctx context.Context, ended chan<- string, id string) {
	select {
	case ended <- id:
	case <-ctx.Done():
	}
}

func (p *Pool) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock, p.storm = newClock(p.Now), newStorm()
	p.askers, p.hosts, p.known = make(map[string]*asker), make(map[string]*host), make(map[string]*proofs)
}

// look compares what runs with what should run.
func (p *Pool) look(current map[string]*running, start func(*idlepush.Account)) {
	p.compare(current, start)
	if p.Looked != nil {
		p.Looked()
	}
}

// compare stops the sessions that should not run as they do, and starts those that should. An
// account whose old session is still ending is started by the look that follows its end.
func (p *Pool) compare(current map[string]*running, start func(*idlepush.Account)) {
	accounts, err := p.Store.Accounts()
	if err != nil {
		p.Log.Error("accounts cannot be read; running sessions go on, and they are read again within a minute", "err", err)
		return
	}
	p.forget(accounts)
	wanted := make(map[string]idlepush.Account)
	for _, a := range accounts {
		if a.Enabled && !a.Status.Ended() {
			wanted[a.ID] = a
		}
	}
	p.storm.watch(len(wanted))
	for id, r := range current {
		if a, ok := wanted[id]; !ok || !a.Edited.Equal(r.edited) {
			r.stop()
		}
	}
	for id, a := range wanted {
		if current[id] == nil {
			start(&a)
		}
	}
}

// forget drops what it knows of accounts that are no longer among these.
func (p *Pool) forget(accounts []idlepush.Account) {
	kept := make(map[string]bool, len(accounts))
	for _, a := range accounts {
		kept[a.ID] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.known, func(id string, _ *proofs) bool { return !kept[id] })
	// One that asks its provider is of an account that was added meanwhile.
	maps.DeleteFunc(p.opened, func(id string, x *access) bool { return !kept[id] && len(x.turn) == 0 })
	maps.DeleteFunc(p.askers, func(id string, _ *asker) bool { return !kept[id] })
}

// hostOf returns the name of an account's host.
func hostOf(a *idlepush.Account) string {
	return strings.ToLower(net.JoinHostPort(a.Host, strconv.Itoa(a.Port)))
}

// host returns the host of an account, the same for all accounts on it.
func (p *Pool) host(a *idlepush.Account) *host {
	name := hostOf(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.hosts[name]
	if !ok {
		h = newHost(a.Host, name, p.Store, p.Log, p.clock)
		p.hosts[name] = h
	}
	return h
}
