package webpush_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push"
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
		h := newHousehold(t)
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
			case !goes && (p.removed > 0 || h.shown(p) != h.mails):
				t.Errorf("%s: removed after %v; %d of %d mails were shown", name, p.removed, h.shown(p), h.mails)
			}
		}
	})
}

// household is a user with a mailbox, and a dispatcher.
type household struct {
	*testing.T
	service    *pushtest.WebPush
	transports push.Transports
	store      *registry.Store
	user       string
	account    string
	phones     map[string]*daysPhone
	mails      int
}

type daysPhone struct {
	idlepush.Device
	removed time.Duration // after how much of the two days; zero: never
}

const betweenMails = 6 * time.Hour

func newHousehold(t *testing.T) *household {
	t.Helper()
	service, sender := serveInMemory(t)
	dir, anna, _ := registrytest.DirWithUsers(t)
	h := &household{T: t, service: service, transports: sender.Transports(), store: registrytest.Open(t, dir), user: anna.ID, phones: make(map[string]*daysPhone)}
	a, _, err := h.store.Accounts.Add(idlepush.Account{Owner: anna.ID, Email: "anna@example.org", Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS,
		Username: "anna", Password: registrytest.SecretMarker, Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
	h.must(err)
	h.account = a.ID
	return h
}

func (h *household) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// addPhone adds a phone at a server of its own, which answers with the fault after two deliveries.
func (h *household) addPhone(name string, f pushtest.Fault) {
	h.Helper()
	sub, err := h.service.Subscribe(fmt.Sprintf("http://push%d.test", len(h.phones)), "")
	h.must(err)
	d := sub.Device("", webpush.UnifiedPush)
	d.User, d.Name, d.Content, d.Status.State = h.user, name, idlepush.LevelSubject, idlepush.StateProven
	d, _, err = h.store.Devices.Register(h.transports.Routed(d), "", time.Now())
	h.must(err)
	h.phones[name] = &daysPhone{Device: d}
	f.After = 2
	h.service.Fail(string(d.Address), f)
}

// live runs the dispatcher until all that waits has been sent.
func (h *household) live() {
	h.Helper()
	log, _ := registrytest.NewLog(h)
	dispatcher := &push.Dispatcher{Store: h.store.Outbox, Transports: h.transports, Codes: sentences, URL: func() string { return "" }, Log: log}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { dispatcher.Run(ctx) })
	defer func() {
		cancel()
		running.Wait()
		h.must(h.store.Close())
	}()
	began := time.Now().Add(2 * betweenMails)
	for range 2 + 48*time.Hour/betweenMails {
		h.mail()
		for range betweenMails / time.Hour {
			time.Sleep(time.Hour)
			for _, p := range h.phones {
				if _, err := h.store.Devices.Get(p.ID); errors.Is(err, registry.ErrNotFound) && p.removed == 0 {
					p.removed = time.Since(began)
				}
			}
		}
	}
	h.service.ClearFaults()
	time.Sleep(24 * time.Hour)
}

func (h *household) mail() {
	h.Helper()
	h.mails++
	from, err := h.store.Mail.Cursor(h.account, "INBOX")
	h.must(err)
	next := uint32(h.mails)
	_, err = h.store.Mail.Record(registry.Arrival{Account: h.account, Folder: "INBOX", From: from, To: registry.Cursor{UIDValidity: 1, Next: next + 1}, At: time.Now(),
		Mails: []registry.Message{{UID: next, Content: idlepush.Content{Subject: fmt.Sprint("Mail ", next)}}}})
	h.must(err)
}

// shown returns how many of the mails came to the phone, each counted once.
func (h *household) shown(p *daysPhone) int {
	came := make(map[string]bool)
	for _, m := range h.service.Messages() {
		if m.Endpoint == p.Address {
			came[m.Topic] = true
		}
	}
	n := 0
	for uid := range h.mails {
		if came[registry.StableID(h.account, "INBOX", 1, uint32(uid+1))] {
			n++
		}
	}
	return n
}
