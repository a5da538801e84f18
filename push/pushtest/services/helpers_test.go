package services_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"net/http"
	"sync"
	"testing"

	"idlepush"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/registry"
)

const home = "https://push.example.org/"

// setup is a stand-in of each service, a transport for each, and devices of every form.
type setup struct {
	fcm        *pushtest.FCM
	apns       *pushtest.APNs
	web        *pushtest.WebPush
	transports push.Transports
	devices    map[string]idlepush.Device
}

// newSetup makes a setup with the services at the origins.
func newSetup(t testing.TB, fcmAt, apnsAt, webAt string, f *pushtest.FCM, a *pushtest.APNs, w *pushtest.WebPush) *setup {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	google, err := fcm.New(fcm.Config{Credentials: f.Credentials(fcmAt), Endpoint: fcmAt + "/v1"})
	fatal(t, err)
	apple, err := apns.New(apns.Config{Key: a.Key, KeyID: a.KeyID, TeamID: a.TeamID, Topic: a.Topic, Endpoint: apnsAt})
	fatal(t, err)
	browsers := webpush.New(webpush.Config{VAPID: key, Subject: func() string { return "mailto:admin@example.org" },
		Permit: func(netguard.Target) error { return nil }})
	receiver, err := pushtest.NewReceiver()
	fatal(t, err)
	keys := receiver.Keys()
	sub, err := w.Subscribe(webAt, "")
	fatal(t, err)
	return &setup{fcm: f, apns: a, web: w,
		transports: append(push.Transports{google, apple}, browsers.Transports()...),
		devices: map[string]idlepush.Device{
			"fcm":            {ID: "d1", Transport: fcm.Name, Address: idlepush.Secret(f.Register(nil))},
			"fcm-encrypted":  {ID: "d2", Transport: fcm.Name, Address: idlepush.Secret(f.Register(receiver)), Keys: &keys},
			"apns":           {ID: "d3", Transport: apns.Name, Params: map[string]string{"environment": "production"}, Address: idlepush.Secret(a.Register(nil))},
			"apns-encrypted": {ID: "d4", Transport: apns.Name, Params: map[string]string{"environment": "sandbox"}, Address: idlepush.Secret(a.Register(receiver)), Keys: &keys},
			"webpush":        {ID: "d5", Transport: webpush.Browser, Address: sub.Endpoint, Keys: &sub.Keys},
			"unifiedpush":    {ID: "d6", Transport: webpush.UnifiedPush, Address: sub.Endpoint, Keys: &sub.Keys},
		}}
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func standIns(t testing.TB) (*pushtest.FCM, *pushtest.APNs, *pushtest.WebPush) {
	t.Helper()
	f, err := pushtest.NewFCM("family-mail")
	fatal(t, err)
	a, err := pushtest.NewAPNs("org.example.mail")
	fatal(t, err)
	return f, a, pushtest.NewWebPush()
}

// offlineSetup returns a setup whose services are not served, for tests that do not use the
// network.
func offlineSetup(t testing.TB) *setup {
	t.Helper()
	f, a, w := standIns(t)
	return newSetup(t, "https://fcm.example", "https://apns.example", "https://web.example", f, a, w)
}

// servedSetup returns a setup whose services listen. For each request seen is called first, if it
// is not nil.
func servedSetup(t *testing.T, seen func(*http.Request)) *setup {
	t.Helper()
	f, a, w := standIns(t)
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		serving.Wait()
	})
	serve := func(h http.Handler) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		fatal(t, err)
		serving.Go(func() {
			if err := pushtest.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if seen != nil {
					seen(r)
				}
				h.ServeHTTP(w, r)
			})); err != nil {
				t.Error(err)
			}
		})
		return "http://" + l.Addr().String()
	}
	return newSetup(t, serve(f), serve(a), serve(w), f, a, w)
}

// sender returns the transport of a device.
func (st *setup) sender(d idlepush.Device) push.Transport {
	t, _ := st.transports.Named(d.Transport)
	return t
}

func (st *setup) preview(t testing.TB, name string, m push.Message) push.Request {
	t.Helper()
	d := st.devices[name]
	r, refusal := st.sender(d).Preview(d, m)
	if refusal != nil {
		t.Fatalf("%s: %+v", name, *refusal)
	}
	return r
}

// work returns a planted notification for the device.
func (st *setup) work(kind idlepush.Kind, name string, level idlepush.Level) registry.Work {
	d := st.devices[name]
	d.Content = level
	return pushtest.Work(kind, d)
}

// last returns the last body that the service accepted, and the payload in it. For Web Push, raw is
// nil, because the whole body is encrypted.
func (st *setup) last(transport idlepush.Transport) (raw, payload []byte) {
	switch transport {
	case fcm.Name:
		all := st.fcm.Messages()
		return all[len(all)-1].Raw, all[len(all)-1].Payload
	case apns.Name:
		all := st.apns.Messages()
		return all[len(all)-1].Raw, all[len(all)-1].Payload
	}
	all := st.web.Messages()
	return nil, all[len(all)-1].Body
}
