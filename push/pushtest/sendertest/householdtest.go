package sendertest

import (
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
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

// Run must be called in a synctest bubble. It registers a device of one user for each fault, and
// records mail for both users.
func (o *HouseholdTest[M]) Run(t *testing.T) {
	t.Helper()
	dir, anna, ben := registrytest.DirWithUsers(t)
	s := &Server{TB: t, Store: registrytest.Open(t, dir), Transports: push.Transports{o.Transport}}
	defer s.Store.Close()
	annas, bens := s.AddAccount(anna.ID, "anna"), s.AddAccount(ben.ID, "ben")
	honest := s.Register(anna.ID, "honest", o.NewDevice())
	defer s.Start()()
	for _, f := range o.faults {
		denied := s.Register(ben.ID, "denied", o.NewDevice())
		o.Record.Fail(string(denied.Address), f)
		for _, wait := range []time.Duration{time.Second, 20 * time.Second, 10 * time.Minute} {
			s.Mail(bens, 1)
			time.Sleep(wait)
			before := o.received(honest)
			s.Mail(annas, 1)
			time.Sleep(time.Second - 1)
			synctest.Wait()
			lanes, err := s.Store.Devices.Lanes()
			s.Must(err)
			if n := o.received(honest) - before; n != 1 || len(lanes) > 0 {
				t.Errorf("%+v, %v after a mail to the device with the fault: the other got %d of 1 mails within a second, and paused are %+v", f, wait, n, lanes)
			}
		}
		o.Record.ClearFaults()
		if now, err := s.Store.Devices.Get(denied.ID); err == nil {
			s.Must(s.Store.Devices.Remove(now, ""))
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
