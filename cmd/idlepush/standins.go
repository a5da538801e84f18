package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"idlepush"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
)

// standIns are push services inside this process.
type standIns struct {
	fcm      *pushtest.FCM
	apns     *pushtest.APNs
	web      *pushtest.WebPush
	services []service // in this order

	// received is called with each message that a phone gets, possibly from several goroutines at
	// once.
	received func(address idlepush.Secret, payload []byte, at time.Time)
}

// service is the stand-in of a push service and its listener.
type service struct {
	listener net.Listener
	handler  http.Handler
}

func (s service) origin() string { return "http://" + s.listener.Addr().String() }

// loopback listens on this machine.
func loopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// newStandIns makes one of each kind.
func newStandIns(listen func() (net.Listener, error), received func(address idlepush.Secret, payload []byte, at time.Time)) (s *standIns, err error) {
	s = &standIns{web: pushtest.NewWebPush(), received: received}
	if s.fcm, err = pushtest.NewFCM("demo"); err != nil {
		return nil, err
	}
	if s.apns, err = pushtest.NewAPNs("org.example.mail"); err != nil {
		return nil, err
	}
	s.fcm.Received = func(m pushtest.FCMMessage) { s.received(m.Token, m.Payload, m.At) }
	s.apns.Received = func(m pushtest.APNsMessage) { s.received(m.Token, m.Payload, m.At) }
	s.web.Received = func(m pushtest.WebPushMessage) {
		var shape struct{ Idlepush json.RawMessage }
		if json.Unmarshal(m.Body, &shape) == nil {
			s.received(m.Endpoint, shape.Idlepush, m.At)
		}
	}
	for _, h := range []http.Handler{s.fcm, s.apns, s.web} {
		l, err := listen()
		if err != nil {
			s.close()
			return nil, err
		}
		s.services = append(s.services, service{l, h})
	}
	return s, nil
}

// close closes the listeners of services that were not run.
func (s *standIns) close() {
	for _, one := range s.services {
		one.listener.Close()
	}
}

// run runs the services in the group, until ctx ends.
func (s *standIns) run(ctx context.Context, group *errgroup.Group) {
	for _, one := range s.services {
		group.Go(func() error { return pushtest.Serve(ctx, one.listener, one.handler) })
	}
}

// settings returns those by which idlepush sends to the services.
func (s *standIns) settings() settings {
	return settings{
		allowPush: netguard.At(s.services[2].listener.Addr()),
		push: push.Values{
			"fcm-credentials": string(s.fcm.Credentials(s.services[0].origin())), "fcm-endpoint": s.services[0].origin() + "/v1",
			"apns-key": string(s.apns.Key), "apns-key-id": s.apns.KeyID, "apns-team-id": s.apns.TeamID, "apns-topic": s.apns.Topic,
			"apns-endpoint": s.services[1].origin(),
		},
	}
}

// phones returns a new phone for each transport. All have keys, so that Google and Apple see only
// ciphertext.
func (s *standIns) phones() ([]idlepush.Device, error) {
	pixel, err := pushtest.NewReceiver()
	if err != nil {
		return nil, err
	}
	iphone, err := pushtest.NewReceiver()
	if err != nil {
		return nil, err
	}
	list := []idlepush.Device{
		{Name: "Pixel", Transport: fcm.Name, Address: idlepush.Secret(s.fcm.Register(pixel)), Keys: new(pixel.Keys())},
		{Name: "iPhone", Transport: apns.Name, Address: idlepush.Secret(s.apns.Register(iphone)), Keys: new(iphone.Keys())},
		{Name: "Firefox", Transport: webpush.Browser},
		{Name: "Fairphone", Transport: webpush.UnifiedPush},
	}
	for i := range list {
		if list[i].Address != "" {
			continue
		}
		subscribed, err := s.web.Subscribe(s.services[2].origin(), "")
		if err != nil {
			return nil, err
		}
		list[i].Address, list[i].Keys = subscribed.Endpoint, &subscribed.Keys
	}
	return list, nil
}
