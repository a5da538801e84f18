package webpush_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
	"idlepush/push/webpush"
	"idlepush/registry"
	"idlepush/registry/registrytest"
)

// TestDays has a phone at each of several push servers, none of which is a known service. Mail
// comes every six hours. From the third on, each server answers with a fault of its own for two
// days, and then accepts what waits.
func TestDays(t *testing.T) {
	t.Parallel()
	gone := map[string]pushtest.Fault{
		"Mozilla's 404":  {Status: 404, Body: `{"code":404,"errno":102,"error":"Not Found","message":"Invalid token"}`},
		"Mozilla's 410":  {Status: 410, Body: `{"code":410,"errno":106,"error":"Gone","message":"No such subscription"}`},
		"an empty 410":   {Status: 410},
		"NextPush's 401": {Status: 401, Body: `{"success":false}`},
		"another key":    {Status: 400, Reason: "VapidPkHashMismatch"},
	}
	synctest.Test(t, func(t *testing.T) {
		h := newDays(t)
		for _, list := range []map[string]pushtest.Fault{pushtest.ProxyPages, pushtest.ProxyTexts, gone} {
			for name, f := range sendertest.Sorted(list) {
				// An outage is tried every minute, which takes the test long.
				if f.Status >= 400 && f.Status < 500 {
					h.addPhone(name, f)
				}
			}
		}
		h.live()
		for name, p := range h.phones {
			_, goes := gone[name]
			switch {
			case goes && (p.removed < 24*time.Hour || p.removed > 40*time.Hour):
				t.Errorf("%s: removed after %v, want a day", name, p.removed)
			case !goes && (p.removed > 0 || h.shown(p) != len(h.mails)):
				t.Errorf("%s: removed after %v; %d of %d mails were shown", name, p.removed, h.shown(p), len(h.mails))
			}
		}
	})
}

// days is a user with a mailbox and phones.
type days struct {
	*sendertest.Server
	service *pushtest.WebPush
	user    string
	account string
	phones  map[string]*daysPhone
	mails   []string // stable ids
}

type daysPhone struct {
	idlepush.Device
	removed time.Duration // after how much of the two days; zero: never
}

const betweenMails = 6 * time.Hour

func newDays(t *testing.T) *days {
	t.Helper()
	service, sender := serveInMemory(t)
	dir, anna, _ := registrytest.DirWithUsers(t)
	h := &days{service: service, user: anna.ID, phones: make(map[string]*daysPhone),
		Server: &sendertest.Server{TB: t, Store: registrytest.Open(t, dir), Transports: sender.Transports(), Codes: sentences}}
	h.account = h.AddAccount(anna.ID, "anna")
	return h
}

// addPhone adds a phone at a server of its own, which answers with the fault after two deliveries.
func (h *days) addPhone(name string, f pushtest.Fault) {
	h.Helper()
	sub, err := h.service.Subscribe(fmt.Sprintf("http://push%d.test", len(h.phones)), "")
	h.Must(err)
	d := h.Register(h.user, name, sub.Device("", webpush.UnifiedPush))
	h.phones[name] = &daysPhone{Device: d}
	f.After = 2
	h.service.Fail(string(d.Address), f)
}

// live runs the dispatcher until all that waits has been sent.
func (h *days) live() {
	h.Helper()
	stop := h.Start()
	defer func() {
		stop()
		h.Must(h.Store.Close())
	}()
	began := time.Now().Add(2 * betweenMails)
	for range 2 + 48*time.Hour/betweenMails {
		h.mails = append(h.mails, h.Mail(h.account, 1)...)
		for range betweenMails / time.Hour {
			time.Sleep(time.Hour)
			for _, p := range h.phones {
				if _, err := h.Store.Devices.Get(p.ID); errors.Is(err, registry.ErrNotFound) && p.removed == 0 {
					p.removed = time.Since(began)
				}
			}
		}
	}
	h.service.ClearFaults()
	time.Sleep(24 * time.Hour)
}

// shown returns how many of the mails came to the phone, each counted once.
func (h *days) shown(p *daysPhone) (n int) {
	came := make(map[string]bool)
	for _, m := range h.service.Messages() {
		if m.Endpoint == p.Address {
			came[m.Topic] = true
		}
	}
	for _, id := range h.mails {
		if came[id] {
			n++
		}
	}
	return n
}
