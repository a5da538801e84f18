package apns

import (
	"context"
	"maps"
	"net"
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
const origin = "http://apns.test"

// service returns a stand-in for APNs on a network in memory, and a Transport for it. It is for
// synctest bubbles: nothing of it is left when the test ends.
func service(t *testing.T) (*pushtest.APNs, *Transport) {
	t.Helper()
	pipes := pushtest.NewPipes()
	return serviceVia(t, pipes, pipes.DialContext)
}

func serviceVia(t *testing.T, ln net.Listener, dial func(context.Context, string, string) (net.Conn, error)) (*pushtest.APNs, *Transport) {
	t.Helper()
	apns, err := pushtest.NewAPNs("org.example.mail")
	if err != nil {
		t.Fatal(err)
	}
	base := dialer()
	base.DialContext = dial
	sendertest.Serve(t, apns, ln, base.CloseIdleConnections)
	sender, err := newTransport(config(apns), base)
	if err != nil {
		t.Fatal(err)
	}
	return apns, sender
}

func config(apns *pushtest.APNs) Config {
	return Config{Key: apns.Key, KeyID: apns.KeyID, TeamID: apns.TeamID, Topic: apns.Topic, Endpoint: origin}
}

func device(token string) idlepush.Device {
	return idlepush.Device{ID: "device1", Transport: "apns", Params: map[string]string{"environment": "production"}, Address: idlepush.Secret(token), Registered: time.Now()}
}

// withParam returns the device with another value of a parameter, or without it if value is empty.
func withParam(d idlepush.Device, name, value string) idlepush.Device {
	d.Params = maps.Clone(d.Params)
	if d.Params[name] = value; value == "" {
		delete(d.Params, name)
	}
	return d
}
