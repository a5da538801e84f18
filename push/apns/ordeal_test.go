package apns

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/push/pushtest"
	"idlepush/push/pushtest/ordeal"
	"idlepush/registry"
)

func TestWhateverFailsForMinutesLosesNoMailAndShowsNoneTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		var faults []func(string)
		add := func(f pushtest.Fault, r registry.Result) {
			if f.Times = 0; r == retryResult || r == brokenSetup {
				faults = append(faults, func(address string) { apns.Fail(address, f) })
			}
		}
		for row, answers := range samples {
			for _, c := range answers {
				if c.after <= time.Hour && !strings.HasSuffix(row, string(ownTopic)) {
					add(c.fault, c.result)
				}
			}
		}
		for _, c := range breaks {
			add(c.fault, c.result)
		}
		encrypted, err := pushtest.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		var receiver *pushtest.Receiver
		ordeal.Run(t, ordeal.Service{Sender: sender, Faults: faults, Heal: apns.Heal,
			Join: func() registry.Device {
				d := registry.Device{Transport: registry.APNs, Environment: registry.Production, Token: registry.Secret(apns.Register(receiver))}
				if receiver != nil {
					keys := receiver.Keys()
					d.Encryption = &keys
				}
				receiver = encrypted // of all but the first
				return d
			},
			Pushes: func() (all []ordeal.Push) {
				for _, m := range apns.Messages() {
					all = append(all, ordeal.Push{Address: m.Token, Payload: m.Payload})
				}
				return all
			}})
	})
}
