package fcm

import (
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		o := sendertest.OutageTest[pushtest.FCMMessage]{Record: &fcm.Record, Transport: sender,
			NewDevice: sendertest.NewDevices(t, func(r *pushtest.Receiver) idlepush.Device {
				return idlepush.Device{Transport: "fcm", Address: idlepush.Secret(fcm.Register(r))}
			}),
			Read: func(m pushtest.FCMMessage) sendertest.Push {
				return sendertest.Push{Address: m.Token, Payload: m.Payload}
			},
		}
		for _, answers := range sendertest.Sorted(samples) {
			for _, a := range answers {
				if a.Wait <= time.Hour {
					o.Add(a.Fault, a.Result)
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
