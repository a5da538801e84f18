package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/push/pushtest"
)

const (
	wellFor = 30 * time.Minute // before a part dies
	deadFor = 45 * time.Minute // after its death must be told: by then every alert fires
	backFor = 90 * time.Minute // after it lives again: by then every alert has ended
)

// death is what can die around idlepush or in it, and what docs/operate.md says of that.
type death struct {
	part   string
	code   string        // of the promise that is broken then; empty: idlepush is dead itself
	within time.Duration // that is told
	alerts string
	again  time.Duration // until the dead-man's URL is called, once the part lives again
	ways   []wayToDie
}

// wayToDie is how a part dies, and how it is brought back.
type wayToDie struct {
	how        string
	kill, mend func(context.Context, *stage)
	unheard    bool // the dead-man's URL cannot be reached, either
}

const lostAlerts = "`IdlepushMailboxesLost` or `IdlepushMailboxLost`"

var deaths = []death{
	{"mail server", "mailbox_down", 6 * time.Minute, lostAlerts, 16 * time.Minute, []wayToDie{
		{how: "refuses connections", kill: func(_ context.Context, s *stage) { s.mailServer().cut(wayClosed) }, mend: openWays},
	}},
	{"network", "mailbox_down", 16 * time.Minute, lostAlerts, 16 * time.Minute, []wayToDie{
		{how: "loses all that is sent to the mail server", kill: func(_ context.Context, s *stage) { s.mailServer().cut(wayLost) }, mend: openWays},
		{how: "loses all that is sent", kill: loseWays, mend: openWays, unheard: true},
	}},
	{"push service", "push_service_down", 6 * time.Minute, "`IdlepushPushServicePaused`", 16 * time.Minute, []wayToDie{
		{how: "answers 503", kill: failWebPush(pushtest.Fault{Status: http.StatusServiceUnavailable}), mend: healPushes},
		{how: "does not answer", kill: failWebPush(pushtest.Fault{Hang: true}), mend: healPushes},
		{how: "refuses the key", mend: healPushes,
			kill: func(_ context.Context, s *stage) {
				s.apns.Fail("", pushtest.Fault{Status: http.StatusForbidden, Reason: "InvalidProviderToken"})
			}},
	}},
	{"reports of a phone", "device_unconfirmed", 25 * time.Hour, "`IdlepushPromiseBroken`", time.Minute, []wayToDie{
		{how: "do not come", kill: func(_ context.Context, s *stage) { s.silent.Store(true) }, mend: func(_ context.Context, s *stage) { s.silent.Store(false) }},
	}},
	{"disk", "store_down", time.Minute, "`IdlepushStoreFails`", 6 * time.Minute, []wayToDie{
		{how: "is full", kill: func(_ context.Context, s *stage) { s.disk.full.Store(true) }, mend: func(_ context.Context, s *stage) { s.disk.full.Store(false) }},
	}},
	{"room on the disk", "disk_low", time.Minute, "`IdlepushDiskFull`, earlier", time.Minute, []wayToDie{
		{how: "runs out", kill: func(_ context.Context, s *stage) { s.room.Store(lowRoom - 1) }, mend: func(_ context.Context, s *stage) { s.room.Store(enoughRoom) }},
	}},
	{"loops of the program", "program_stuck", 6 * time.Minute, "`IdlepushStuck`", time.Minute, []wayToDie{
		{how: "hang", kill: func(_ context.Context, s *stage) { s.hung.Store(true) }, mend: func(_ context.Context, s *stage) { s.hung.Store(false) }},
	}},
	{"program", "", time.Minute, "`IdlepushDown`", 2 * time.Minute, []wayToDie{
		{how: "is killed", unheard: true,
			kill: func(_ context.Context, s *stage) { s.leave(); s.process.kill(); s.figures = nil },
			mend: func(ctx context.Context, s *stage) { systemtest.Must(s.T, s.restart()); s.watch(ctx) }},
	}},
}

// mailServer returns where the mail server is.
func (s *stage) mailServer() *memoryServer { return s.net.at(s.link.Addr().String()) }

func openWays(_ context.Context, s *stage) { s.net.cut(wayOpen) }
func loseWays(_ context.Context, s *stage) { s.net.cut(wayLost) }

// failWebPush lets the service fail on which two of the phones are.
func failWebPush(f pushtest.Fault) func(context.Context, *stage) {
	return func(_ context.Context, s *stage) { s.web.Fail("", f) }
}

func healPushes(_ context.Context, s *stage) {
	s.web.ClearFaults()
	s.apns.ClearFaults()
}

// TestKills kills one part after the other, around idlepush or in it, and brings it back. It holds
// docs/operate.md to what page, metrics, alerts and dead-man's URL then say, and within what time.
func TestKills(t *testing.T) {
	t.Parallel()
	doc := read(t, "docs/operate.md")
	for _, d := range deaths {
		code := "none"
		if d.code != "" {
			code = "`" + d.code + "`"
		}
		if row := fmt.Sprintf("| %s | %s | %s | %s | %s |\n", d.part, code, said(d.within), d.alerts, said(d.again)); !strings.Contains(doc, row) {
			t.Errorf("docs/operate.md lacks the row %s", row)
		}
		for _, way := range d.ways {
			t.Run(d.part+" "+way.how, func(t *testing.T) {
				t.Parallel()
				var seen scrapes
				var dead [2]int
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t)
					s.play(func(ctx context.Context) { dead = s.meet(ctx, d, way) })
					seen = s.scrapes
				})
				seen.evaluate(t, d.alerts, dead)
			})
		}
	}
}

// said returns a time as the docs do.
func said(d time.Duration) string {
	switch {
	case d == time.Minute:
		return "1 minute"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return fmt.Sprintf("%d hours", int(d.Hours()))
}

// meet kills a part in a house in which all is well, and brings it back. It returns the last scrape
// before each of both.
func (s *stage) meet(ctx context.Context, d death, way wayToDie) (dead [2]int) {
	s.live(wellFor)
	s.isWell()
	time.Sleep(time.Second) // what has come is told
	dead[0] = s.scrapes.n - 1
	killed := time.Now()
	way.kill(ctx, s)
	s.arrive()
	s.live(d.within)
	told := time.Now()
	if d.code != "" {
		s.isTold(d.code)
		if last := s.latest(); !way.unheard && last.broken != d.code+" 1" {
			s.Errorf("%v later the last call is %v", d.within, last)
		}
	}
	s.live(deadFor)
	if way.unheard {
		told = killed
	}
	for _, c := range s.since(told) {
		if c.broken == "" || way.unheard {
			s.Errorf("it is called %v later, with %q", c.at.Sub(killed), c.broken)
		}
	}
	dead[1] = s.scrapes.n - 1
	mended := time.Now()
	way.mend(ctx, s)
	s.arrive()
	s.live(d.again)
	if last := s.latest(); last.at.Before(mended) || last.broken != "" {
		s.Errorf("%v after it lives again the last call is %v", d.again, last)
	}
	s.live(backFor)
	s.isWell()
	if lost, wrong := s.ledger.lost(s.phones), s.ledger.wrong(s.phones); lost != "" || wrong != nil {
		s.Errorf("lost %s; %v", lost, wrong)
	}
	return dead
}

// isTold checks that page and metrics say that one promise is broken, and which.
func (s *stage) isTold(code string) {
	s.Helper()
	switch now := s.state(); {
	case now.Well || len(now.Broken) != 1 || now.Broken[0].Code != code:
		s.Errorf("the page says %+v, want %s", now, code)
	case len(strings.Fields(now.Broken[0].Reason)) < 5:
		s.Errorf("the page says only %q", now.Broken[0].Reason)
	}
	if n := s.scrapes.last(`idlepush_promises_broken{code="` + code + `"}`); n != "1" {
		s.Errorf("the metrics have %s %q times", code, n)
	}
}

// isWell checks that page, metrics and dead-man's URL have said for ten minutes that all is well.
func (s *stage) isWell() {
	s.Helper()
	calls := s.since(time.Now().Add(-10 * time.Minute))
	if len(calls) < 10 || slices.ContainsFunc(calls, func(c call) bool { return c.broken != "" }) {
		s.Errorf("the calls of the last ten minutes are %v", calls)
	}
	if now := s.state(); !now.Well || now.Devices != len(s.phones) || now.Mailboxes != 1 {
		s.Errorf("the page says %+v", now)
	}
	for series := range s.scrapes.series {
		if n := s.scrapes.last(series); strings.HasPrefix(series, "idlepush_promises_broken{") && n != "0" {
			s.Errorf("the metrics have %s %s times", series, n)
		}
	}
}
