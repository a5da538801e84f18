package fcm

import (
	"testing"
	"time"

	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
	"idlepush/registry"
)

// What all senders' tests share.
const (
	title = sendertest.Title
	body  = sendertest.Body
)

var (
	expect     = sendertest.Expect
	message    = sendertest.Message
	provoked   = sendertest.Provoked
	status     = sendertest.FailOnce
	unviolated = sendertest.Unviolated
	with       = sendertest.WithHeader
)

// origin is where the service lies in a test's network; whatever is dialled there is the service.
const origin = "http://fcm.test"

// service makes an FCM of its own on a network in memory, and a Transport for it. It is for synctest bubbles: nothing of it is left
// when the test ends.
func service(t *testing.T) (*pushtest.FCM, *Transport) {
	t.Helper()
	fcm, err := pushtest.NewFCM("family-mail")
	if err != nil {
		t.Fatal(err)
	}
	pipes, base := pushtest.NewPipes(), dialer()
	base.DialContext = pipes.DialContext
	sendertest.Serve(t, fcm, pipes, base.CloseIdleConnections)
	account, err := parse(fcm.Credentials(origin))
	if err != nil {
		t.Fatal(err)
	}
	sender, err := newTransport(account, origin+"/v1", base)
	if err != nil {
		t.Fatal(err)
	}
	return fcm, sender
}

func device(token string) registry.Device {
	return registry.Device{ID: "device1", Transport: "fcm", Address: registry.Secret(token), Registered: time.Now()}
}
