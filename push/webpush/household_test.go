package webpush_test

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
		service, sender := serveInMemory(t)
		o := sendertest.HouseholdTest[pushtest.WebPushMessage]{Record: &service.Record, Transport: sender.Transports()[0],
			NewDevice: func() idlepush.Device {
				sub, err := service.Subscribe("http://push.test", "")
				if err != nil {
					t.Fatal(err)
				}
				return idlepush.Device{Transport: "webpush", Address: sub.Endpoint, Keys: &sub.Keys}
			},
			Address: func(m pushtest.WebPushMessage) idlepush.Secret { return m.Endpoint },
		}
		for _, row := range sendertest.Sorted(samples) {
			for _, c := range row {
				o.Add(pushtest.Fault{Status: c.status, Body: c.body})
			}
		}
		for _, c := range sendertest.Sorted(breaks) {
			o.Add(c.fault)
		}
		o.Add(pushtest.Fault{Hang: true, Accepted: true})
		o.Run(t)
	})
}
