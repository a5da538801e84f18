package webpush_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"idlepush"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, sender := serveInMemory(t)
		o := sendertest.OutageTest[pushtest.WebPushMessage]{Record: &service.Record, Transport: sender.Transports()[0],
			NewDevice: func() idlepush.Device {
				sub, err := service.Subscribe("http://push.test", "")
				if err != nil {
					t.Fatal(err)
				}
				return idlepush.Device{Transport: "webpush", Address: sub.Endpoint, Keys: &sub.Keys}
			},
			Read: func(m pushtest.WebPushMessage) sendertest.Push {
				var p struct{ Idlepush json.RawMessage }
				if err := json.Unmarshal(m.Body, &p); err != nil {
					t.Fatal(err)
				}
				return sendertest.Push{Address: m.Endpoint, Payload: p.Idlepush}
			},
		}
		for name, row := range sendertest.Sorted(samples) {
			if strings.HasSuffix(name, "known") {
				continue // push.test is not known
			}
			for _, c := range row {
				o.Add(pushtest.Fault{Status: c.status, Body: c.body}, c.result)
			}
		}
		for _, c := range sendertest.Sorted(breaks) {
			o.Add(c.fault, c.result)
		}
		o.Add(pushtest.Fault{Hang: true, Accepted: true}, retry)
		o.Run(t)
	})
}
