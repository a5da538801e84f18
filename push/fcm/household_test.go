package fcm

import (
	"testing"
	"testing/synctest"

	"idlepush"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
)

func TestHousehold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		o := sendertest.HouseholdTest[pushtest.FCMMessage]{Record: &fcm.Record, Transport: sender,
			NewDevice: sendertest.NewDevices(t, func(r *pushtest.Receiver) idlepush.Device {
				return idlepush.Device{Transport: "fcm", Address: idlepush.Secret(fcm.Register(r))}
			}),
			Address: func(m pushtest.FCMMessage) idlepush.Secret { return m.Token },
		}
		for _, answers := range sendertest.Sorted(samples) {
			for _, a := range answers {
				o.Add(a.Fault)
			}
		}
		for _, b := range sendertest.Sorted(breaks) {
			o.Add(b.Fault)
		}
		o.Run(t)
	})
}
