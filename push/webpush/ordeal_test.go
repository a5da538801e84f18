package webpush_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"

	"idlepush/push/pushtest"
	"idlepush/push/pushtest/ordeal"
	"idlepush/push/webpush"
	"idlepush/registry"
)

func TestWhateverFailsForMinutesLosesNoMailAndShowsNoneTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, pipes := pushtest.NewWebPush(), pushtest.NewPipes()
		ctx, cancel := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := pushtest.Serve(ctx, pipes, service); err != nil {
				t.Error(err)
			}
		})
		sender := webpush.New(config(t))
		idle := sender.DialThrough(pipes.DialContext)
		defer func() {
			cancel()
			idle()
			serving.Wait()
			unviolated(t, service)
		}()
		var faults []func(string)
		add := func(f pushtest.Fault, r registry.Result) {
			if r == retry || r == misconfigured {
				faults = append(faults, func(address string) { service.Fail(address, f) })
			}
		}
		for _, row := range samples {
			for _, c := range row {
				add(pushtest.Fault{Status: c.status, Body: c.body}, c.result)
			}
		}
		for _, c := range breaks {
			add(c.fault, c.result)
		}
		add(pushtest.Fault{Hang: true, Accepted: true}, retry)
		ordeal.Run(t, ordeal.Service{Sender: sender, Faults: faults, Heal: service.Heal,
			Join: func() registry.Device {
				sub, err := service.Subscribe("http://push.test", "")
				if err != nil {
					t.Fatal(err)
				}
				return registry.Device{Transport: registry.WebPush, Subscription: &sub}
			},
			Pushes: func() (all []ordeal.Push) {
				for _, m := range service.Messages() {
					var p struct{ Idlepush json.RawMessage }
					if err := json.Unmarshal(m.Body, &p); err != nil {
						t.Fatal(err)
					}
					all = append(all, ordeal.Push{Address: m.Endpoint, Payload: p.Idlepush})
				}
				return all
			}})
	})
}
