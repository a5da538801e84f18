package apns

import (
	"strings"
	"testing"
	"testing/synctest"

	"idlepush"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
)

func TestHousehold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		o := sendertest.HouseholdTest[pushtest.APNsMessage]{Record: &apns.Record, Transport: sender,
			NewDevice: sendertest.NewDevices(t, func(r *pushtest.Receiver) idlepush.Device {
				return idlepush.Device{Transport: "apns", Params: map[string]string{"environment": "production"}, Address: idlepush.Secret(apns.Register(r))}
			}),
			Address: func(m pushtest.APNsMessage) idlepush.Secret { return m.Token },
		}
		for row, answers := range sendertest.Sorted(samples) {
			for _, a := range answers {
				if !strings.HasSuffix(row, string(ownTopic)) {
					o.Add(a.Fault)
				}
			}
		}
		for _, b := range sendertest.Sorted(breaks) {
			o.Add(b.Fault)
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
