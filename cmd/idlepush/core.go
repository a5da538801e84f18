package main

import (
	"context"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"idlepush/clocks"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/registry"
	"idlepush/watcher"
)

// core is what leads from mail to phones: it works without the API and the page.
type core struct {
	store      *registry.Store
	transports push.Transports
	dispatcher *push.Dispatcher
	pool       *watcher.Pool
	clients    *oauthClients
	house      *house
	jumped     chan struct{}
	around     surroundings
	log        *slog.Logger
}

// surroundings replace the clock and the network of the machine, in the selftest and in tests.
type surroundings struct {
	wall func() time.Time  // the wall clock; nil: the machine's
	dial netguard.DialFunc // in tests: the network; nil: the machine's
}

// core returns the parts that find and deliver the mail of the store, and what knows whether they
// do; they do not run yet.
func (s settings) core(store *registry.Store, around surroundings, log *slog.Logger) (*core, error) {
	transports, err := s.transports(store, around.dial)
	if err != nil {
		return nil, err
	}
	c := &core{store: store, transports: transports, jumped: make(chan struct{}, 1), around: around, log: log}
	c.dispatcher = &push.Dispatcher{Jumped: c.jumped, Store: store.Outbox, Transports: transports, Codes: allCodes(),
		URL: func() string { return s.publicPage(store) }, BurstLimit: s.burstLimit, Log: log, Now: around.wall}
	c.pool, c.clients = s.pool(store, log)
	c.pool.Now = around.wall
	if around.dial != nil {
		c.pool.Dialer.Dial = func(ctx context.Context, address string) (net.Conn, error) { return around.dial(ctx, "tcp", address) }
	}
	c.house = newHouse(store, c.pool, newPulse(&c.dispatcher.Looked, &c.pool.Looked))
	return c, nil
}

// run runs all parts in the group, until ctx ends.
func (c *core) run(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return dispatch(ctx, c.store, c.dispatcher, c.pool, c.log) })
	group.Go(func() error { return c.pool.Run(ctx) })
	group.Go(func() error { c.watchClock(ctx); return nil })
	group.Go(func() error { c.house.notify(ctx, c.log); return nil })
}

// watchClock tells all parts of each jump of the clock, until ctx ends.
func (c *core) watchClock(ctx context.Context) {
	clocks.Watch(ctx, c.around.wall, func(by time.Duration) {
		c.log.Info("the machine slept, or its clock was set; asking every mail server and looking at every queue now", "jump", by.Round(time.Second))
		c.house.wake()
		c.pool.AskNow()
		select {
		case c.jumped <- struct{}{}:
		default: // the dispatcher has not come to the last one yet
		}
	})
}
