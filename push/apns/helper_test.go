package apns

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

// origin is where the service lies in a test's network; whatever is dialled there is the service.
const origin = "http://apns.test"

// service makes an APNs of its own on a network in memory, and a Sender for it. It is for synctest bubbles: nothing of it is left
// when the test ends.
func service(t *testing.T) (*pushtest.APNs, *Sender) {
	t.Helper()
	pipes := pushtest.NewPipes()
	return serviceVia(t, pipes, pipes.DialContext)
}

func serviceVia(t *testing.T, ln net.Listener, dial func(context.Context, string, string) (net.Conn, error)) (*pushtest.APNs, *Sender) {
	t.Helper()
	apns, err := pushtest.NewAPNs("org.example.mail")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := pushtest.Serve(ctx, ln, apns); err != nil {
			t.Error(err)
		}
	})
	base := transport()
	base.DialContext = dial
	t.Cleanup(func() {
		cancel()
		base.CloseIdleConnections()
		wg.Wait()
		unviolated(t, apns)
	})
	sender, err := newSender(config(apns), base)
	if err != nil {
		t.Fatal(err)
	}
	return apns, sender
}

// unviolated fails a test whose requests Apple would not have taken. One that provokes that forgives it.
func unviolated(t *testing.T, apns *pushtest.APNs) {
	t.Helper()
	for _, v := range apns.Forgive() {
		t.Errorf("APNs would not have taken it: %s", v)
	}
}

// provoked forgives the violations that the test provokes: at least one, and each says what.
func provoked(t *testing.T, apns *pushtest.APNs, what string) {
	t.Helper()
	all := apns.Forgive()
	if len(all) == 0 {
		t.Errorf("nothing was refused, want %q", what)
	}
	for _, v := range all {
		if !strings.Contains(v, what) {
			t.Errorf("APNs would not have taken it: %s", v)
		}
	}
}

func config(apns *pushtest.APNs) Config {
	return Config{Key: apns.Key, KeyID: apns.KeyID, TeamID: apns.TeamID, Topic: apns.Topic, Endpoint: origin}
}

const (
	title = "Aunt Frieda"
	body  = "The recipe for the plum cake"
)

func message() push.Message {
	return push.Message{
		ID: "0123456789abcdefghijklmnopqrstuv", Kind: registry.MailKind, Thread: "account1", Expires: time.Now().Add(time.Hour),
		Title: title, Body: body, Neutral: "New mail",
		Payload: []byte(`{"v":1,"kind":"mail","id":"0123456789abcdefghijklmnopqrstuv","title":"` + title + `","body":"` + body + `"}`),
	}
}

func device(token string) registry.Device {
	return registry.Device{ID: "device1", Transport: registry.APNs, Environment: registry.Production, Token: registry.Secret(token), Registered: time.Now()}
}

// expect compares an outcome and holds it to what every outcome owes a person: a reason, and no secret in it.
func expect(t *testing.T, got, want registry.Outcome, secrets ...string) {
	t.Helper()
	if got.Result != want.Result || got.Suspect != want.Suspect || got.Code != want.Code || !got.At.Equal(want.At) {
		t.Errorf("outcome %s suspect=%v %q at %v, want %s suspect=%v %q at %v",
			got.Result, got.Suspect, got.Code, got.At, want.Result, want.Suspect, want.Code, want.At)
	}
	if (got.Result == registry.ResultDelivered) != (got.Reason == "") || (got.Code == "") != (got.Reason == "") {
		t.Errorf("outcome %s has code %q and reason %q", got.Result, got.Code, got.Reason)
	}
	for _, secret := range append(secrets, title, body, "bearer", origin, "PRIVATE") {
		if strings.Contains(got.Reason+got.Code, secret) {
			t.Errorf("the outcome tells %q: %s", secret, got.Reason)
		}
	}
}

func status(code int, reason string) pushtest.Fault {
	return pushtest.Fault{Status: code, Reason: reason, Times: 1}
}

func with(f pushtest.Fault, key, value string) pushtest.Fault {
	f.Header = http.Header{key: {value}}
	return f
}
