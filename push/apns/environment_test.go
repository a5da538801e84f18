package apns

import (
	"errors"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
	"idlepush/registry"
)

// apple has a stand-in for each environment, under its real host name.
type apple struct {
	production, sandbox *pushtest.APNs
	down                map[string]bool // hosts that cannot be reached
	hosts               map[string]http.RoundTripper
}

// RoundTrip implements http.RoundTripper. It sends to the stand-in with the host's name, without
// TLS.
func (a *apple) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.down[r.URL.Host] || a.hosts[r.URL.Host] == nil {
		return nil, errors.New("no route to " + r.URL.Host)
	}
	to := a.hosts[r.URL.Host]
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return to.RoundTrip(r)
}

// both returns both environments and a Transport for them. It is for synctest bubbles.
func both(t *testing.T) (*apple, *Transport) {
	t.Helper()
	a := &apple{down: make(map[string]bool), hosts: make(map[string]http.RoundTripper)}
	production, err := pushtest.NewAPNs("org.example.mail")
	if err != nil {
		t.Fatal(err)
	}
	a.production, a.sandbox = production, production.Sandbox()
	for host, apns := range map[string]*pushtest.APNs{"api.push.apple.com": a.production, "api.sandbox.push.apple.com": a.sandbox} {
		pipes := pushtest.NewPipes()
		base := dialer()
		base.DialContext = pipes.DialContext
		sendertest.Serve(t, apns, pipes, base.CloseIdleConnections)
		a.hosts[host] = base
	}
	c := config(a.production)
	c.Endpoint = ""
	sender, err := newTransport(c, a)
	if err != nil {
		t.Fatal(err)
	}
	return a, sender
}

func TestEnvironment(t *testing.T) {
	t.Run("an unknown one is learned in one send", environmentUnknown)
	t.Run("an endpoint for both is asked once", environmentEndpoint)
	t.Run("both share one provider token", environmentProviderToken)
}

func environmentUnknown(t *testing.T) {
	const (
		productionHost = "api.push.apple.com"
		sandboxHost    = "api.sandbox.push.apple.com"
	)
	deliveredIn := func(e string) registry.Outcome {
		if e == "" {
			return registry.Outcome{Result: delivered}
		}
		return registry.Outcome{Result: delivered, Learned: &idlepush.Learned{Params: map[string]string{paramEnvironment: e}}}
	}
	unknown := registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_bad_device_token"}}
	for name, c := range map[string]struct {
		known          string
		token          string         // where Apple knows it; empty: nowhere
		inProd, inSand pushtest.Fault // Status 0: none
		down           string
		want           registry.Outcome
		toProd, toSand int // requests
	}{
		"production":                 {token: production, want: deliveredIn(production), toProd: 1},
		"sandbox":                    {token: sandbox, want: deliveredIn(sandbox), toProd: 1, toSand: 1},
		"neither":                    {want: unknown, toProd: 1, toSand: 1},
		"known production":           {known: production, token: sandbox, want: unknown, toProd: 1},
		"known sandbox":              {known: sandbox, token: sandbox, want: deliveredIn(""), toSand: 1},
		"known sandbox, wrong":       {known: sandbox, token: production, want: unknown, toSand: 1},
		"production is out of order": {token: production, inProd: failOnce(503, "ServiceUnavailable"), want: registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_service_unavailable"}}, toProd: 1},
		"production is unreachable":  {token: sandbox, down: productionHost, want: registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_unreachable"}}},
		"production throttles":       {token: production, inProd: failOnce(429, "TooManyRequests"), want: registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_too_many_requests"}}, toProd: 1},
		"the app was removed": {token: production, inProd: pushtest.Fault{Status: 410, Body: `{"reason":"Unregistered","timestamp":32503680000000}`},
			want: registry.Outcome{Result: registry.ResultGone, Reason: idlepush.Reason{Code: "apns_unregistered"}}, toProd: 1},
		"another complaint about the token": {token: production, inProd: failOnce(400, "DeviceTokenNotForTopic"),
			want: registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_device_token_not_for_topic"}}, toProd: 1},
		"the status is another": {token: production, inProd: failOnce(403, "BadDeviceToken"), want: registry.Outcome{Result: brokenSetup, Reason: idlepush.Reason{Code: "apns_forbidden"}}, toProd: 1},
		"the sandbox is out of order": {token: sandbox, inSand: failOnce(500, "InternalServerError"),
			want: registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_internal_server_error"}}, toProd: 1, toSand: 1},
		"the sandbox is unreachable": {token: sandbox, down: sandboxHost, want: registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_unreachable"}}, toProd: 1},
		"the key is for production alone": {token: sandbox, inSand: failOnce(403, "BadEnvironmentKeyInToken"), want: unknown,
			toProd: 1, toSand: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, sender := both(t)
				d := device(a.production.Register(nil))
				switch c.token {
				case sandbox:
					d = device(a.sandbox.Register(nil))
				case "":
					d = device("0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a")
				}
				d = withParam(d, paramEnvironment, c.known)
				if c.inProd.Status != 0 {
					a.production.Fail(string(d.Address), c.inProd)
				}
				if c.inSand.Status != 0 {
					a.sandbox.Fail(string(d.Address), c.inSand)
				}
				a.down[c.down] = true
				got := sender.Send(t.Context(), d, message())
				expect(t, got, c.want, string(d.Address))
				if !reflect.DeepEqual(got.Learned, c.want.Learned) || a.production.Requests() != c.toProd || a.sandbox.Requests() != c.toSand {
					t.Errorf("learned %+v after %d and %d requests, want %+v after %d and %d", got.Learned,
						a.production.Requests(), a.sandbox.Requests(), c.want.Learned, c.toProd, c.toSand)
				}
			})
		})
	}
}

func environmentEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device("0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a")
		d = withParam(d, paramEnvironment, "")
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_bad_device_token"}})
		if n := apns.Requests(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func environmentProviderToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, sender := both(t)
		d := device(a.sandbox.Register(nil))
		d = withParam(d, paramEnvironment, "")
		for range 12 {
			if o := sender.Send(t.Context(), d, message()); o.Learned == nil || o.Learned.Params[paramEnvironment] != sandbox {
				t.Fatalf("got %+v", o)
			}
			time.Sleep(10 * time.Minute)
		}
	})
}
