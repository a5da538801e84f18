package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"idlepush"
	"idlepush/netguard"
	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

// bench is an idlepush of its own, between a mail server and push services that misbehave as a
// hardship says.
type bench struct {
	*standIns
	process

	hardship hardship
	mailbox  *imaptest.Script
	link     *link // to the mailbox
	clock    shiftedClock
	phones   []idlepush.Device
	ledger   ledger
	maxRing  time.Duration // how long a mail may take to ring

	mu     sync.Mutex
	orders map[string]func(*imaptest.Talk) // for the mail server, once each, by the moment
	mute   atomic.Bool                     // the mail server announces nothing
}

// process is idlepush, which can be killed and started anew.
type process struct {
	core  *core
	disk  fillableDisk
	open  func() (*core, error) // makes one of the files
	start func()                // runs it
	stop  func()                // ends it
}

// The moments for orders to the mail server.
const (
	inIdle     = "in IDLE"
	beforeIdle = "before IDLE"
)

// network is what lies between a bench's idlepush and the servers around it.
type network struct {
	listen func() (net.Listener, error)
	dial   netguard.DialFunc // nil: that of this machine
}

// newBench makes a bench whose files are in the folder dir.
func newBench(dir string, h hardship, between network, maxRing time.Duration, log *slog.Logger) (b *bench, err error) {
	b = &bench{hardship: h, maxRing: maxRing, orders: make(map[string]func(*imaptest.Talk))}
	b.ledger.repeats = h.repeats
	if b.standIns, err = newStandIns(between.listen, b.ledger.ring); err != nil {
		return nil, err
	}
	listener, err := between.listen()
	if err != nil {
		b.standIns.close()
		return nil, err
	}
	b.link = &link{Listener: listener}
	b.mailbox = &imaptest.Script{UIDValidity: 7, Messages: oldMails(), User: "anna", Password: rand.Text(), Mute: h.lies,
		At:   b.obey,
		Beat: imaptest.Beat{Every: 10 * time.Millisecond, Do: func(t *imaptest.Talk, _ int) { b.obey(t, inIdle) }},
		On: map[string]func(*imaptest.Talk, string){"EXISTS": func(t *imaptest.Talk, args string) {
			if !b.mute.Load() {
				t.Answer("EXISTS", args)
			}
		}}}
	s := b.standIns.settings()
	s.data, s.allowMail = dir, netguard.At(listener.Addr())
	b.open = func() (*core, error) {
		store, err := registry.Open(dir, registry.Options{QuickHash: true, NoSync: between.dial != nil, Full: b.disk.write})
		if err != nil {
			return nil, err
		}
		c, err := s.core(store, surroundings{b.clock.now, between.dial}, log)
		if err != nil {
			return nil, errors.Join(err, store.Close())
		}
		return c, nil
	}
	if b.core, err = b.open(); err != nil {
		b.standIns.close()
		b.link.close()
	}
	return b, err
}

// run runs everything until try returns or a part fails, and returns the first error.
func (b *bench) run(until context.Context, try func(context.Context) error) error {
	group, ctx := errgroup.WithContext(until)
	ctx, stop := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, b.link.close)()
	b.standIns.run(ctx, group)
	b.start = func() { b.stop = b.core.runApart(ctx, group) }
	b.start()
	group.Go(func() error { b.mailbox.ServeAll(b.link); return nil })
	group.Go(func() error {
		defer stop()
		return try(ctx)
	})
	return errors.Join(group.Wait(), b.core.store.Close())
}

// runApart runs all parts in a group of their own within the group, until ctx ends or stop is
// called, which waits for their end.
func (c *core) runApart(ctx context.Context, group *errgroup.Group) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	parts, ctx := errgroup.WithContext(ctx)
	c.run(ctx, parts)
	ended := make(chan struct{})
	group.Go(func() error {
		defer close(ended)
		return parts.Wait()
	})
	return func() {
		cancel()
		<-ended
	}
}

// kill ends idlepush, and nothing more is written.
func (p *process) kill() {
	p.disk.full.Store(true)
	p.stop()
	p.core.store.Close() // which cannot write that all ended in order
	p.disk.full.Store(false)
}

// restart starts idlepush anew.
func (p *process) restart() error {
	c, err := p.open()
	if err != nil {
		return err
	}
	p.core = c
	p.start()
	return nil
}

// begin adds the phones and the mailbox, and a mail that rings: then everything works.
func (b *bench) begin(ctx context.Context) error {
	store, now := b.core.store, time.Now()
	token, err := store.Users.SetupToken()
	if err != nil {
		return err
	}
	user, _, err := store.Users.Setup(token, "anna", rand.Text(), "", nil, now)
	if err != nil {
		return err
	}
	if err := b.register(ctx, user.ID); err != nil {
		return err
	}
	at := b.link.Addr().(*net.TCPAddr)
	if b.hardship.interval > 0 {
		if err := store.Mail.PutHost(at.String(), registry.Host{Interval: b.hardship.interval}); err != nil {
			return err
		}
	}
	a, _, err := store.Accounts.Add(idlepush.Account{Owner: user.ID, Email: "anna@example.org", Host: at.IP.String(), Port: at.Port, Security: idlepush.SecurityPlain,
		Username: b.mailbox.User, Password: idlepush.Secret(b.mailbox.Password), Folders: []string{"INBOX"}, Enabled: true}, "", now)
	if err != nil {
		return err
	}
	if err := b.await(ctx, "the mailbox is watched", func() bool { return !b.core.pool.Live(a.ID).Confirmed.IsZero() }); err != nil {
		return err
	}
	b.arrive()
	return b.awaitRings(ctx, b.phones)
}

// register registers a phone for each transport.
func (b *bench) register(ctx context.Context, user string) error {
	phones, err := b.standIns.phones()
	if err != nil {
		return err
	}
	for _, p := range phones {
		p.User, p.Content = user, idlepush.LevelSubject
		p = b.core.transports.Routed(p)
		if o := b.core.dispatcher.Prove(ctx, p); o.Result != registry.ResultDelivered {
			return fmt.Errorf("no push reaches the %s: %s", p.Name, allCodes().Sentence(o.Reason.Code, o.Reason.Params))
		}
		p.Status = idlepush.Status{State: idlepush.StateProven, Proof: time.Now()}
		if p, _, err = b.core.store.Devices.Register(p, "", time.Now()); err != nil {
			return err
		}
		b.phones = append(b.phones, p)
	}
	return nil
}

// arrive puts a new mail into the mailbox, and the server announces it.
func (b *bench) arrive() { b.mailbox.Deliver(b.ledger.next()) }

// order has the mail server do something when the moment comes next. The channel is closed once it
// is done.
func (b *bench) order(moment string, do func(*imaptest.Talk)) (done <-chan struct{}) {
	doing := make(chan struct{})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orders[moment] = func(t *imaptest.Talk) {
		do(t)
		close(doing)
	}
	return doing
}

// obey carries out the order for the moment, if there is one.
func (b *bench) obey(t *imaptest.Talk, moment string) {
	b.mu.Lock()
	do := b.orders[moment]
	delete(b.orders, moment)
	b.mu.Unlock()
	if do != nil {
		do(t)
	}
}

// await waits until the condition holds, for at most maxRing. Its error says what did not happen.
func (b *bench) await(ctx context.Context, what string, holds func() bool) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(b.maxRing); !holds(); {
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %s", b.maxRing, what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// ringAfter waits until an order was carried out, and every mail rang on each phone.
func (b *bench) ringAfter(ctx context.Context, obeyed <-chan struct{}) error {
	err := b.await(ctx, "idlepush waits for mail in IDLE", func() bool {
		select {
		case <-obeyed:
			return true
		default:
			return false
		}
	})
	if err != nil {
		return err
	}
	return b.awaitRings(ctx, b.phones)
}

// awaitRings waits until every mail so far has rung on each of the phones.
func (b *bench) awaitRings(ctx context.Context, phones []idlepush.Device) error {
	err := b.await(ctx, "", func() bool { return b.ledger.lost(phones) == "" })
	if lost := b.ledger.lost(phones); err != nil && ctx.Err() == nil {
		return fmt.Errorf("lost %s within %v", lost, b.maxRing)
	}
	return err
}

// violations returns an error if a push service got a push that the real one would refuse.
func (b *bench) violations() error {
	for _, v := range append(append(b.fcm.Violations(), b.apns.Violations()...), b.web.Violations()...) {
		// Who starts on either side of a mark of provider tokens, 20 minutes apart, cannot know of
		// the other one.
		if !strings.HasPrefix(v, "a new provider token") {
			return fmt.Errorf("a push service would refuse a push: %s", v)
		}
	}
	return nil
}

// shiftedClock is a wall clock that can be set.
type shiftedClock struct{ ahead atomic.Int64 }

func (c *shiftedClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *shiftedClock) move(by time.Duration) { c.ahead.Add(int64(by)) }

// fillableDisk is one that can be full.
type fillableDisk struct {
	full    atomic.Bool
	refused atomic.Int64 // writes
}

func (d *fillableDisk) write() error {
	if !d.full.Load() {
		return nil
	}
	d.refused.Add(1)
	return syscall.ENOSPC
}
