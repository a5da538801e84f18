package fcm

import (
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
		fcm, sender := service(t)
		var faults []func(string)
		add := func(f pushtest.Fault, r registry.Result) {
			if f.Times = 0; r == retryResult || r == brokenSetup {
				faults = append(faults, func(address string) { fcm.Fail(address, f) })
			}
		}
		for _, row := range samples {
			for _, c := range row {
				if c.after <= time.Hour {
					add(c.fault, c.result)
				}
			}
		}
		for _, c := range breaks {
			add(c.fault, c.result)
		}
		for _, c := range grants {
			c.fault.Times = 0
			faults = append(faults, func(string) { fcm.FailGrant(c.fault) })
		}
		encrypted, err := pushtest.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		var receiver *pushtest.Receiver
		ordeal.Run(t, ordeal.Service{Sender: sender, Faults: faults, Heal: fcm.Heal,
			Join: func() registry.Device {
				d := registry.Device{Transport: registry.FCM, Token: registry.Secret(fcm.Register(receiver))}
				if receiver != nil {
					keys := receiver.Keys()
					d.Encryption = &keys
				}
				receiver = encrypted // of all but the first
				return d
			},
			Pushes: func() (all []ordeal.Push) {
				for _, m := range fcm.Messages() {
					all = append(all, ordeal.Push{Address: m.Token, Payload: m.Payload})
				}
				return all
			}})
	})
}
