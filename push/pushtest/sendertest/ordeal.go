package sendertest

import (
	"iter"
	"maps"
	"slices"
	"testing"

	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/ordeal"
	"idlepush/registry"
)

// Ordeal is an ordeal of a sender whose stand-in keeps a Record.
type Ordeal[M any] struct {
	Record *pushtest.Record[M]
	Sender push.Transport
	Join   func() registry.Device // gives the service one more phone
	Read   func(M) ordeal.Push

	faults []func(address string)
}

// Add adds the fault if its result blames neither the message nor the device. It lasts until Heal.
func (o *Ordeal[M]) Add(f pushtest.Fault, result registry.Result) {
	if result == registry.ResultRetry || result == registry.ResultMisconfigured {
		f.Times = 0
		o.AddFunc(func(address string) { o.Record.Fail(address, f) })
	}
}

// AddFunc adds another kind of fault.
func (o *Ordeal[M]) AddFunc(fault func(address string)) { o.faults = append(o.faults, fault) }

// Run must be called in a synctest bubble.
func (o *Ordeal[M]) Run(t *testing.T) {
	t.Helper()
	ordeal.Run(t, ordeal.Service{Sender: o.Sender, Faults: o.faults, Heal: o.Record.Heal, Join: o.Join,
		Pushes: func() (all []ordeal.Push) {
			for _, m := range o.Record.Messages() {
				all = append(all, o.Read(m))
			}
			return all
		}})
}

// Sorted goes through a table in the order of its keys, so that a seed repeats an ordeal.
func Sorted[V any](table map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(table)) {
			if !yield(key, table[key]) {
				return
			}
		}
	}
}

// Phones makes devices out of those that register enrols with a receiver. The first takes what is
// in the clear, all others what is encrypted to them.
func Phones(t *testing.T, register func(*pushtest.Receiver) registry.Device) (join func() registry.Device) {
	t.Helper()
	encrypted, err := pushtest.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	var receiver *pushtest.Receiver
	return func() registry.Device {
		d := register(receiver)
		if receiver != nil {
			keys := receiver.Keys()
			d.Keys = &keys
		}
		receiver = encrypted
		return d
	}
}
