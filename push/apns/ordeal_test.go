package apns

import (
	"strings"
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
		apns, sender := service(t)
		o := sendertest.Ordeal[pushtest.APNsMessage]{Record: &apns.Record, Sender: sender,
			Join: sendertest.Phones(t, func(r *pushtest.Receiver) registry.Device {
				return registry.Device{Transport: "apns", Params: map[string]string{"environment": "production"}, Address: registry.Secret(apns.Register(r))}
			}),
			Read: func(m pushtest.APNsMessage) ordeal.Push { return ordeal.Push{Address: m.Token, Payload: m.Payload} },
		}
		for row, answers := range sendertest.Sorted(samples) {
			for _, c := range answers {
				if c.after <= time.Hour && !strings.HasSuffix(row, string(ownTopic)) {
					o.Add(c.fault, c.result)
				}
			}
		}
		for _, b := range sendertest.Sorted(breaks) {
			o.Add(b.Fault, b.Result)
		}
		o.Run(t)
	})
}
