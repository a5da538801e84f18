package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"idlepush"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/registry"
	"idlepush/watcher"
)

func TestNAT64PrivateAddress(t *testing.T) {
	t.Parallel()
	mail, err := netguard.ParseMail("[64:ff9b::]/96:*")
	if err != nil {
		t.Fatal(err)
	}
	vapid, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := webpush.ApplicationServerKey(&vapid.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sender := webpush.New(webpush.Config{VAPID: vapid, Permit: mail.Permit, Subject: func() string { return "mailto:a@example.org" }})
	for _, host := range []string{"64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254"} {
		_, err := watcher.Dialer{Permit: mail.Permit}.Check(t.Context(), idlepush.Account{Host: host, Port: 993, Security: idlepush.SecurityTLS})
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

// TestInnerEndpoints checks that an address in a private network is never connected to, and that
// its port looks the same whether it answers, denies, hangs or is closed.
func TestInnerEndpoints(t *testing.T) {
	t.Parallel()
	ports := innerPorts(t)
	vapid, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := webpush.ApplicationServerKey(&vapid.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	send := func(allowed netguard.Allowed, endpoint string) registry.Outcome {
		sender := webpush.New(webpush.Config{VAPID: vapid, Permit: allowed.Permit, Subject: func() string { return "mailto:a@example.org" }})
		sub, err := pushtest.NewWebPush().Subscribe(endpoint, key)
		if err != nil {
			t.Fatal(err)
		}
		device := idlepush.Device{Transport: "webpush", Address: sub.Endpoint, Keys: &sub.Keys}
		return sender.Send(t.Context(), device, push.Message{Kind: idlepush.KindTest, Title: "Test", Neutral: "Test", Payload: []byte("{}")})
	}
	// A mail server's network does not open pushes, and a push server opens its own port alone.
	none, err := netguard.ParsePush("127.0.0.1:1,other.example.org:" + ports["404"])
	if err != nil {
		t.Fatal(err)
	}
	for name, port := range ports {
		for _, host := range []string{"127.0.0.1", "localhost"} {
			for _, scheme := range []string{"http", "https"} {
				if o := send(none, scheme+"://"+host+":"+port); !o.Suspect || o.Result != registry.ResultRetry || o.Code != "webpush_endpoint_not_allowed" ||
					!maps.Equal(o.Params, map[string]string{"host": host}) {
					t.Errorf("a push to %s %s, which is %s: %+v", scheme, host, name, o)
				}
			}
			for _, security := range []idlepush.Security{idlepush.SecurityTLS, idlepush.SecurityStartTLS, idlepush.SecurityPlain} {
				n, _ := strconv.Atoi(port)
				_, err := watcher.Dialer{Permit: none.Permit}.Check(t.Context(), idlepush.Account{Host: host, Port: n, Security: security})
				if f, ok := errors.AsType[*watcher.Failure](err); !ok || f.Code != "address_not_allowed" || !maps.Equal(f.Params, map[string]string{"case": "private_network", "entry": net.JoinHostPort(host, port)}) {
					t.Errorf("a mailbox by %s at %s, which is %s: %v", security, host, name, err)
				}
			}
		}
	}
	allowed, err := netguard.ParsePush("127.0.0.1:" + ports["404"])
	if err != nil {
		t.Fatal(err)
	}
	if o := send(allowed, "http://127.0.0.1:"+ports["404"]); o.Code != "webpush_nothing_there" {
		t.Errorf("a push to an allowed port: %+v", o)
	}
}

// innerPorts returns ports of loopback by what is there.
func innerPorts(t *testing.T) map[string]string {
	t.Helper()
	ports := make(map[string]string)
	listen := func(name string) net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, ports[name], _ = net.SplitHostPort(l.Addr().String())
		return l
	}
	for name, status := range map[string]int{"404": 404, "401": 401, "a success": 201} {
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })}
		l := listen(name)
		var serving sync.WaitGroup
		serving.Go(func() { server.Serve(l) })
		t.Cleanup(func() { server.Close(); serving.Wait() })
	}
	silent := listen("silent") // it accepts by the kernel's backlog alone
	t.Cleanup(func() { silent.Close() })
	listen("closed").Close()
	return ports
}
