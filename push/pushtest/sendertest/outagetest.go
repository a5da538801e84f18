package sendertest

import (
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

// recovery is how long all that waits may take to be delivered once no more faults happen. It is
// much less than the lifetime of a mail.
const recovery = 40 * time.Hour

// OutageTest tests a transport together with the dispatcher and the queue: whatever its push
// service does for some minutes, no mail is lost and none is shown twice.
type OutageTest[M any] struct {
	Record    *pushtest.Record[M] // of the service's stand-in
	Transport push.Transport
	NewDevice func() idlepush.Device // makes one more phone at the service
	Read      func(M) Push

	faults []func(address string)
}

// Push is what a phone received.
type Push struct {
	Address idlepush.Secret
	Payload []byte // what the app reads
}

// Add adds the fault if its result blames neither the message nor the device. It lasts until it is
// cleared.
func (o *OutageTest[M]) Add(f pushtest.Fault, result registry.Result) {
	if result == registry.ResultRetry || result == registry.ResultMisconfigured {
		f.Times = 0
		o.AddFunc(func(address string) { o.Record.Fail(address, f) })
	}
}

// AddFunc adds another kind of fault, which must blame neither a message nor a device. It is to
// happen to the phone with the address, or to all if the address is empty.
func (o *OutageTest[M]) AddFunc(fault func(address string)) { o.faults = append(o.faults, fault) }

// Run must be called in a synctest bubble. In random order it causes a tenth of the faults, or in a
// soak all of them. Each lasts for some minutes, at one phone or at all. Meanwhile mail arrives,
// phones register anew and the server is restarted. In the end Run compares what the phones
// received with what arrived.
func (o *OutageTest[M]) Run(t *testing.T) {
	t.Helper()
	s := newSimulation(t, o.Transport, o.NewDevice)
	defer s.close()
	s.rand.Shuffle(len(o.faults), func(i, j int) { o.faults[i], o.faults[j] = o.faults[j], o.faults[i] })
	for _, fault := range o.faults[:testenv.Tenth(len(o.faults))] {
		address := ""
		if s.rand.IntN(2) == 0 {
			address = string(s.phones[s.rand.IntN(len(s.phones))].Address)
		}
		fault(address)
		s.pass(s.minutes(8))
		o.Record.ClearFaults()
		s.pass(s.minutes(8))
	}
	time.Sleep(recovery)
	var pushes []Push
	for _, m := range o.Record.Messages() {
		pushes = append(pushes, o.Read(m))
	}
	s.check(pushes)
}

// Sorted iterates over a table in the order of its keys, so that a seed repeats a test.
func Sorted[V any](table map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(table)) {
			if !yield(key, table[key]) {
				return
			}
		}
	}
}

// NewDevices returns a function that makes devices out of those that register returns. The first
// device receives in the clear, all others encrypted to the receiver that register was given.
func NewDevices(t *testing.T, register func(*pushtest.Receiver) idlepush.Device) func() idlepush.Device {
	t.Helper()
	encrypted, err := pushtest.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	var receiver *pushtest.Receiver
	return func() idlepush.Device {
		d := register(receiver)
		if receiver != nil {
			keys := receiver.Keys()
			d.Keys = &keys
		}
		receiver = encrypted
		return d
	}
}
