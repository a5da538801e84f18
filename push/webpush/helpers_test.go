package webpush_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
	"idlepush/push/webpush"
	"idlepush/registry"
)

const stableID = "AbCdEfGhIjKlMnOpQrStUvWxYz012-_9"

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func anywhere(netguard.Target) error { return nil }

func config(t testing.TB) webpush.Config {
	return webpush.Config{
		VAPID:   newKey(t),
		Subject: func() string { return "mailto:admin@example.org" },
		Permit:  anywhere,
	}
}

// service is a push service over TLS and HTTP/2 with one subscription, and a sender that trusts it.
type service struct {
	*pushtest.WebPush
	origin string
	roots  *x509.CertPool
	device idlepush.Device
	sender *webpush.Sender
}

func serve(t testing.TB) *service {
	t.Helper()
	s := &service{WebPush: pushtest.NewWebPush()}
	server := httptest.NewUnstartedServer(s.WebPush)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that break off are what is tested
	server.StartTLS()
	t.Cleanup(func() {
		server.Close()
		sendertest.NoViolations(t, s.WebPush)
	})
	s.origin, s.roots = server.URL, x509.NewCertPool()
	s.roots.AddCert(server.Certificate())
	c := config(t)
	c.Roots = s.roots
	s.sender = webpush.New(c)
	key, err := webpush.ApplicationServerKey(&c.VAPID.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s.device = s.subscribe(t, key)
	return s
}

// serveInMemory returns a push service on a network in memory, and a sender for it. It is for
// synctest bubbles.
func serveInMemory(t testing.TB) (*pushtest.WebPush, *webpush.Sender) {
	t.Helper()
	service, pipes, sender := pushtest.NewWebPush(), pushtest.NewPipes(), webpush.New(config(t))
	sendertest.Serve(t, service, pipes, sender.DialThrough(pipes.DialContext))
	return service, sender
}

func (s *service) subscribe(t testing.TB, key string) idlepush.Device {
	t.Helper()
	sub, err := s.Subscribe(s.origin, key)
	if err != nil {
		t.Fatal(err)
	}
	return idlepush.Device{ID: "d", Transport: "webpush", Address: sub.Endpoint, Keys: &sub.Keys}
}

// pointedAt returns a device with valid keys whose endpoint is at the origin.
func pointedAt(t testing.TB, origin string) idlepush.Device {
	t.Helper()
	receiver, err := pushtest.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	keys := receiver.Keys()
	return idlepush.Device{ID: "d", Transport: "unifiedpush", Address: idlepush.Secret(origin + secretPath), Keys: &keys}
}

const secretPath = "/up-secret-path-4711"

func message() push.Message {
	return push.Message{
		ID: stableID, Kind: idlepush.KindMail, Expires: time.Now().Add(time.Hour), Title: "Ada Lovelace",
		Body: "Engine notes", Neutral: "New mail", URL: "https://push.example.org/m/1",
		Payload: []byte(`{"v":1,"kind":"mail","id":"` + stableID + `"}`),
	}
}

var sentences = codes.Join(webpush.Codes)

func sentence(o registry.Outcome) string { return sentences.Sentence(o.Code, o.Params) }

// expect checks the result and the code of an outcome, and that it contains no secret.
func expect(t *testing.T, o registry.Outcome, result registry.Result, code codes.Code, d idlepush.Device) {
	t.Helper()
	if o.Result != result || o.Code != code {
		t.Errorf("got %+v, want %s with code %q", o, result, code)
	}
	if (o.Code == "") != (result == registry.ResultDelivered) {
		t.Errorf("%s with reason %v", o.Result, o.Reason)
	}
	if err := sentences.Check(o.Code, o.Params); o.Code != "" && o.Code != "marked" && err != nil {
		t.Error(err)
	}
	if o.Suspect && o.Result != registry.ResultRetry {
		t.Errorf("%s and suspect", o.Result)
	}
	secrets := []string{"Ada", "Engine", "vapid t=", "eyJ", "secret body"}
	if d.Keys != nil {
		secrets = append(secrets, string(d.Address), d.Keys.P256dh, d.Keys.Auth)
		if _, rest, ok := strings.Cut(string(d.Address), "://"); ok {
			_, path, _ := strings.Cut(rest, "/")
			secrets = append(secrets, path)
		}
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(sentence(o)+string(o.Code), secret) {
			t.Errorf("the outcome tells %q: %+v", secret, o)
		}
	}
}
