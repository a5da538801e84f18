package fcm

import (
	"testing"
	"testing/synctest"
	"time"

	"idlepush/push/pushtest"
	"idlepush/push/pushtest/ordeal"
	"idlepush/push/pushtest/sendertest"
	"idlepush/registry"
)

func TestWhateverFailsForMinutesLosesNoMailAndShowsNoneTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		o := sendertest.Ordeal[pushtest.FCMMessage]{Record: &fcm.Record, Sender: sender,
			Join: sendertest.Phones(t, func(r *pushtest.Receiver) registry.Device {
				return registry.Device{Transport: "fcm", Address: registry.Secret(fcm.Register(r))}
			}),
			Read: func(m pushtest.FCMMessage) ordeal.Push { return ordeal.Push{Address: m.Token, Payload: m.Payload} },
		}
		for _, answers := range sendertest.Sorted(samples) {
			for _, c := range answers {
				if c.after <= time.Hour {
					o.Add(c.fault, c.result)
				}
			}
		}
		for _, b := range sendertest.Sorted(breaks) {
			o.Add(b.Fault, b.Result)
		}
		for _, c := range sendertest.Sorted(grants) {
			c.fault.Times = 0
			o.AddFunc(func(string) { fcm.FailGrant(c.fault) })
		}
		o.Run(t)
	})
}
