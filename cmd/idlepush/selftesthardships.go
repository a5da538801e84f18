package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"idlepush"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/pushtest"
	"idlepush/watcher/imaptest"
)

// hardship is something that mail servers, push services, networks or machines do.
type hardship struct {
	name     string
	does     string // what happens, in plain words
	meet     func(context.Context, *bench) error
	interval time.Duration // of IDLE, as if learned before; zero: none was
	lies     bool          // the mail server shows new mail only to who opens the folder anew
	repeats  bool          // a push may come again, under its id
}

// shortInterval stands for the intervals of IDLE that are learned, which are 25 s or more.
const shortInterval = 3 * time.Second

// hardships are those of the selftest. The slowest is last.
var hardships = []hardship{
	{name: "BYE", does: "the mail server ends the connection in IDLE", meet: meetBye},
	{name: "early EXISTS", does: "mail is announced before IDLE has begun", meet: meetEarlyExists},
	{name: "lying IDLE", does: "IDLE is accepted, and announces nothing", meet: meetOneMail, interval: shortInterval, lies: true},
	{name: "UIDVALIDITY", does: "the folder is numbered anew as mail comes", meet: meetRenumbering},
	{name: "429", does: "a push service wants no push for 3 s", meet: meetTooMany},
	{name: "GOAWAY", does: "a push service ends connections during pushes", meet: meetGoAway},
	{name: "403", does: "a push service refuses the key for a while", meet: meetRefusedKey},
	{name: "restart", does: "idlepush is killed during pushes, and starts anew", meet: meetRestart, repeats: true},
	{name: "clock jump", does: "the clock is set 8 hours back, then 16 ahead", meet: meetClockJump},
	{name: "full disk", does: "nothing can be written, twice for 3 s", meet: meetFullDisk},
	{name: "NAT drop", does: "the connection falls silent, and stays open", meet: meetSilence, interval: shortInterval},
}

// meetOneMail is for a hardship that lasts all the time.
func meetOneMail(ctx context.Context, b *bench) error {
	b.arrive()
	return b.awaitRings(ctx, b.phones)
}

func meetBye(ctx context.Context, b *bench) error {
	said := b.order(inIdle, func(t *imaptest.Talk) {
		t.Bye("the server is restarted")
		b.arrive()
	})
	return b.ringAfter(ctx, said)
}

// meetEarlyExists has a mail announced between the command IDLE and its "+". Another mail ends the
// IDLE before.
func meetEarlyExists(ctx context.Context, b *bench) error {
	announced := b.order(beforeIdle, func(t *imaptest.Talk) { t.Deliver(b.ledger.next()) })
	b.arrive()
	return b.ringAfter(ctx, announced)
}

func meetRenumbering(ctx context.Context, b *bench) error {
	renumbered := b.order(inIdle, func(*imaptest.Talk) {
		b.arrive()
		b.mailbox.Renumber()
	})
	return b.ringAfter(ctx, renumbered)
}

// meetSilence is what happens when a NAT forgets a connection.
func meetSilence(ctx context.Context, b *bench) error {
	b.link.silence()
	return meetOneMail(ctx, b)
}

func meetTooMany(ctx context.Context, b *bench) error {
	const wait = 3 * time.Second
	b.fcm.Fail("", tooMany(wait))
	n := b.ledger.count()
	if err := meetOneMail(ctx, b); err != nil {
		return err
	}
	if after := b.ledger.slowest(n, b.only(fcm.Name)); after < wait {
		return fmt.Errorf("pushed again after %.1f s, although the service had said: not for %v", after.Seconds(), wait)
	}
	return nil
}

// tooMany is the answer that another push may follow after so long.
func tooMany(wait time.Duration) pushtest.Fault {
	return pushtest.Fault{Status: http.StatusTooManyRequests, Reason: "QUOTA_EXCEEDED", Header: http.Header{"Retry-After": {fmt.Sprint(int(wait.Seconds()))}}, Times: 1}
}

// meetGoAway ends connections after an answer, after a refusal, and without an answer.
func meetGoAway(ctx context.Context, b *bench) error {
	for _, f := range []pushtest.Fault{
		{Status: http.StatusOK, GoAway: true},
		{Status: http.StatusServiceUnavailable, Reason: "Shutdown", GoAway: true},
		{Drop: true},
	} {
		f.Times = 1
		b.apns.Fail("", f)
		b.arrive()
	}
	return b.awaitRings(ctx, b.phones)
}

// meetRefusedKey ends the pause of a minute by setting the clock. Phones of other services must not
// wait.
func meetRefusedKey(ctx context.Context, b *bench) error {
	b.apns.Fail("", pushtest.Fault{Status: http.StatusForbidden, Reason: "InvalidProviderToken"})
	b.arrive()
	if err := b.awaitRings(ctx, b.without(apns.Name)); err != nil {
		return err
	}
	err := b.await(ctx, "pushes to the service pause", func() bool {
		lanes, err := b.core.store.Devices.Lanes()
		return err == nil && len(lanes) > 0
	})
	if err != nil {
		return err
	}
	b.apns.ClearFaults()
	b.clock.move(time.Minute + time.Second)
	return b.awaitRings(ctx, b.phones)
}

// meetRestart has mail come before idlepush is killed, while it does not run, and amid its end.
func meetRestart(ctx context.Context, b *bench) error {
	pushed := make(chan struct{})
	b.ledger.atNextRing(func() {
		b.disk.full.Store(true) // nothing is written from now on
		close(pushed)
	})
	b.arrive()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-pushed:
	}
	b.arrive()
	b.kill()
	b.arrive()
	if err := b.restart(); err != nil {
		return err
	}
	return b.awaitRings(ctx, b.phones)
}

// meetClockJump sets the clock back while a push waits for its next try. Then it sets it ahead, as
// after a sleep in which an announcement was lost.
func meetClockJump(ctx context.Context, b *bench) error {
	const jump = 8 * time.Hour
	phone := b.only(fcm.Name)[0]
	b.fcm.Fail("", tooMany(10*time.Minute))
	b.arrive()
	err := b.await(ctx, "a push waits for its next try", func() bool {
		d, err := b.core.store.Devices.Get(phone.ID)
		return err == nil && d.Due.Sub(b.clock.now()) > 5*time.Minute
	})
	if err != nil {
		return err
	}
	b.clock.move(-jump)
	if err := b.awaitRings(ctx, b.phones); err != nil {
		return err
	}
	b.mute.Store(true)
	b.arrive()
	b.clock.move(2 * jump) // also from before the first jump, which may be unnoticed
	if err := b.awaitRings(ctx, b.phones); err != nil {
		return err
	}
	b.mute.Store(false)
	return nil
}

// meetFullDisk has no room for a mail that comes, and then none for the outcome of a push.
func meetFullDisk(ctx context.Context, b *bench) error {
	b.disk.full.Store(true)
	b.arrive()
	if err := b.ringWithRoom(ctx); err != nil {
		return err
	}
	b.ledger.atNextRing(func() { b.disk.full.Store(true) })
	b.arrive()
	return b.ringWithRoom(ctx)
}

// ringWithRoom makes room on the disk 3 s after it was missed, and waits until every mail rang.
func (b *bench) ringWithRoom(ctx context.Context) error {
	before := b.disk.refused.Load()
	if err := b.await(ctx, "something is to be written", func() bool { return b.disk.refused.Load() > before }); err != nil {
		return err
	}
	timer := time.NewTimer(3 * time.Second)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	b.disk.full.Store(false)
	return b.awaitRings(ctx, b.phones)
}

// only returns the phones of a transport.
func (b *bench) only(t idlepush.Transport) []idlepush.Device {
	return slices.DeleteFunc(slices.Clone(b.phones), func(p idlepush.Device) bool { return p.Transport != t })
}

// without returns the other phones.
func (b *bench) without(t idlepush.Transport) []idlepush.Device {
	return slices.DeleteFunc(slices.Clone(b.phones), func(p idlepush.Device) bool { return p.Transport == t })
}
