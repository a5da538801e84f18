package fcm

import (
	"context"
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
const origin = "http://fcm.test"

// service makes an FCM of its own on a network in memory, and a Sender for it. It is for synctest bubbles: nothing of it is left
// when the test ends.
func service(t *testing.T) (*pushtest.FCM, *Sender) {
	t.Helper()
	fcm, err := pushtest.NewFCM("family-mail")
	if err != nil {
		t.Fatal(err)
	}
	pipes := pushtest.NewPipes()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := pushtest.Serve(ctx, pipes, fcm); err != nil {
			t.Error(err)
		}
	})
	base := transport()
	base.DialContext = pipes.DialContext
	t.Cleanup(func() {
		cancel()
		base.CloseIdleConnections()
		wg.Wait()
		unviolated(t, fcm)
	})
	account, err := parse(fcm.Credentials(origin))
	if err != nil {
		t.Fatal(err)
	}
	sender, err := newSender(account, origin+"/v1", base)
	if err != nil {
		t.Fatal(err)
	}
	return fcm, sender
}

// unviolated fails a test whose requests Google would not have taken. One that provokes that forgives it.
func unviolated(t *testing.T, fcm *pushtest.FCM) {
	t.Helper()
	for _, v := range fcm.Forgive() {
		t.Errorf("FCM would not have taken it: %s", v)
	}
}

// provoked forgives the violations that the test provokes: at least one, and each says what.
func provoked(t *testing.T, fcm *pushtest.FCM, what string) {
	t.Helper()
	all := fcm.Forgive()
	if len(all) == 0 {
		t.Errorf("nothing was refused, want %q", what)
	}
	for _, v := range all {
		if !strings.Contains(v, what) {
			t.Errorf("FCM would not have taken it: %s", v)
		}
	}
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
	return registry.Device{ID: "device1", Transport: registry.FCM, Token: registry.Secret(token), Registered: time.Now()}
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
	for _, secret := range append(secrets, title, body, "ya29.", "scripted", origin, "PRIVATE") {
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
