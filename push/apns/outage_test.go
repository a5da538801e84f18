package apns

import (
	"strings"
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
		apns, sender := service(t)
		o := sendertest.OutageTest[pushtest.APNsMessage]{Record: &apns.Record, Transport: sender,
			NewDevice: sendertest.NewDevices(t, func(r *pushtest.Receiver) idlepush.Device {
				return idlepush.Device{Transport: "apns", Params: map[string]string{"environment": "production"}, Address: idlepush.Secret(apns.Register(r))}
			}),
			Read: func(m pushtest.APNsMessage) sendertest.Push {
				return sendertest.Push{Address: m.Token, Payload: m.Payload}
			},
		}
		for row, answers := range sendertest.Sorted(samples) {
			for _, a := range answers {
				if a.Wait <= time.Hour && !strings.HasSuffix(row, string(ownTopic)) {
					o.Add(a.Fault, a.Result)
				}
			}
		}
		for _, b := range sendertest.Sorted(breaks) {
			o.Add(b.Fault, b.Result)
		}
		o.Run(t)
		// The faults say untruly that tokens are refused, so some follow too soon.
		for _, v := range apns.TakeViolations() {
			if !strings.Contains(v, "a new provider token") {
				t.Errorf("the real service would refuse it: %s", v)
			}
		}
	})
}
