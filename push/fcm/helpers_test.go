package fcm

import (
	"testing"
	"time"

	"idlepush"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
)

// What the tests of all transports share.
const (
	title = sendertest.Title
	body  = sendertest.Body
)

var (
	expect       = sendertest.ExpectOf(Codes)
	message      = sendertest.Message
	provoked     = sendertest.Provoked
	failOnce     = sendertest.FailOnce
	noViolations = sendertest.NoViolations
	withHeader   = sendertest.WithHeader
)

// origin is that of the service. In a test's network every address leads to it.
const origin = "http://fcm.test"

// service returns a stand-in for FCM on a network in memory, and a Transport for it. It is for
// synctest bubbles: nothing of it is left when the test ends.
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

func device(token string) idlepush.Device {
	return idlepush.Device{ID: "device1", Transport: "fcm", Address: idlepush.Secret(token), Registered: time.Now()}
}
