package sendertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
	"idlepush/registry/registrytest"
)

// HouseholdTest tests a transport together with the dispatcher: whatever its push service does to
// the device of one person, it delays no mail of another.
type HouseholdTest[M any] struct {
	Record    *pushtest.Record[M] // of the service's stand-in
	Transport push.Transport
	NewDevice func() idlepush.Device // makes one more phone at the service
	Address   func(M) idlepush.Secret

	faults []pushtest.Fault
}

// Add adds the fault. It lasts for as long as the device is registered.
func (o *HouseholdTest[M]) Add(f pushtest.Fault) {
	f.Times = 0
	o.faults = append(o.faults, f)
}

// household is two users with an account each, in the lane of one push service.
type household struct {
	testing.TB
	transport push.Transport
	store     *registry.Store
	uids      map[string]uint32 // by account
}

// Run must be called in a synctest bubble. It registers a device of one user for each fault, and
// records mail for both users.
func (o *HouseholdTest[M]) Run(t *testing.T) {
	t.Helper()
	dir, anna, ben := registrytest.DirWithUsers(t)
	log, _ := registrytest.NewLog(t)
	h := &household{TB: t, transport: o.Transport, store: registrytest.Open(t, dir), uids: make(map[string]uint32)}
	defer h.store.Close()
	annas, bens := h.account(anna), h.account(ben)
	honest := h.register(anna, o.NewDevice())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	d := &push.Dispatcher{Store: h.store.Outbox, Transports: push.Transports{o.Transport}, URL: func() string { return "" }, Log: log}
	running.Go(func() { d.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for _, f := range o.faults {
		denied := h.register(ben, o.NewDevice())
		o.Record.Fail(string(denied.Address), f)
		for _, wait := range []time.Duration{time.Second, 20 * time.Second, 10 * time.Minute} {
			h.mail(bens)
			time.Sleep(wait)
			before := o.received(honest)
			h.mail(annas)
			time.Sleep(time.Second - 1)
			synctest.Wait()
			lanes, err := h.store.Devices.Lanes()
			h.must(err)
			if n := o.received(honest) - before; n != 1 || len(lanes) > 0 {
				t.Errorf("%+v, %v after a mail to the device with the fault: the other got %d of 1 mails within a second, and paused are %+v", f, wait, n, lanes)
			}
		}
		o.Record.ClearFaults()
		if now, err := h.store.Devices.Get(denied.ID); err == nil {
			h.must(h.store.Devices.Remove(now, ""))
		}
	}
}

// received counts the messages to the device.
func (o *HouseholdTest[M]) received(d idlepush.Device) (n int) {
	for _, m := range o.Record.Messages() {
		if o.Address(m) == d.Address {
			n++
		}
	}
	return n
}

func (h *household) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *household) account(owner idlepush.User) string {
	h.Helper()
	a, _, err := h.store.Accounts.Add(idlepush.Account{Owner: owner.ID, Email: owner.Name + "@example.org",
		Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS, Username: owner.Name,
		Password: registrytest.SecretMarker, Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
	h.must(err)
	return a.ID
}

// register registers a proven device.
func (h *household) register(owner idlepush.User, d idlepush.Device) idlepush.Device {
	h.Helper()
	d.Name, d.User, d.Content, d.Status.State = "phone of "+owner.Name, owner.ID, idlepush.LevelSubject, idlepush.StateProven
	d, _, err := h.store.Devices.Register(push.Transports{h.transport}.Routed(d), "", time.Now())
	h.must(err)
	return d
}

// mail records a new mail.
func (h *household) mail(account string) {
	h.Helper()
	uid := h.uids[account] + 1
	h.uids[account] = uid
	from, err := h.store.Mail.Cursor(account, "INBOX")
	h.must(err)
	_, err = h.store.Mail.Record(registry.Arrival{Account: account, Folder: "INBOX", From: from, To: registry.Cursor{UIDValidity: 1, Next: uid + 1}, At: time.Now(),
		Mails: []registry.Message{{UID: uid, Content: idlepush.Content{From: "Bo", Subject: fmt.Sprint("Mail ", uid)}}}})
	h.must(err)
}
