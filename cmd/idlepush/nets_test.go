package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/netip"
	"testing"

	"idlepush"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/watcher"
)

func TestNAT64PrivateAddress(t *testing.T) {
	t.Parallel()
	s := settings{allowNets: netguard.Networks{netip.MustParsePrefix("64:ff9b::/96")}}
	vapid, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := webpush.ApplicationServerKey(&vapid.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sender := webpush.New(webpush.Config{VAPID: vapid, Permit: s.allowNets.Permit, Subject: func() string { return "mailto:a@example.org" }})
	for _, host := range []string{"64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254"} {
		_, err := watcher.Dialer{Permit: s.allowNets.Permit}.Check(t.Context(), idlepush.Account{Host: host, Port: 993, Security: idlepush.SecurityTLS})
		if f, ok := errors.AsType[*watcher.Failure](err); !ok || f.Code != "address_not_allowed" {
			t.Errorf("a mail server at %s: %v", host, err)
		}
		sub, err := pushtest.NewWebPush().Subscribe("https://["+host+"]", key)
		if err != nil {
			t.Fatal(err)
		}
		device := idlepush.Device{Transport: "webpush", Address: sub.Endpoint, Keys: &sub.Keys}
		if o := sender.Send(t.Context(), device, push.Message{Kind: idlepush.KindTest, Title: "Test", Neutral: "Test", Payload: []byte("{}")}); o.Code != "webpush_endpoint_not_allowed" {
			t.Errorf("a push endpoint at %s: %+v", host, o)
		}
	}
}
