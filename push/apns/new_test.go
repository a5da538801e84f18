package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"idlepush/push/pushtest"
	"idlepush/registry"
)

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestNew(t *testing.T) {
	apns, err := pushtest.NewAPNs("org.example.mail")
	if err != nil {
		t.Fatal(err)
	}
	otherCurve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherKind, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*Config)
		tells string
	}{
		"no key":           {func(c *Config) { c.Key = nil }, "apns-key: want the .p8 file"},
		"a path as key":    {func(c *Config) { c.Key = []byte("/etc/secret.p8") }, "apns-key: want the .p8 file"},
		"a damaged key":    {func(c *Config) { c.Key = []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n") }, "apns-key: want the .p8 file"},
		"another curve":    {func(c *Config) { c.Key = pkcs8(t, otherCurve) }, "apns-key: want the .p8 file"},
		"an RSA key":       {func(c *Config) { c.Key = pkcs8(t, otherKind) }, "apns-key: want the .p8 file"},
		"no key id":        {func(c *Config) { c.KeyID = "" }, "apns-key-id: want"},
		"a file as key id": {func(c *Config) { c.KeyID = "secret.p8" }, "apns-key-id: want"},
		"no team id":       {func(c *Config) { c.TeamID = "" }, "apns-team-id: want"},
		"no topic":         {func(c *Config) { c.Topic = "" }, "apns-topic: want"},
		"a bad topic":      {func(c *Config) { c.Topic = "secret topic\r\n" }, "apns-topic: want"},
		"a bad endpoint":   {func(c *Config) { c.Endpoint = "secret.example" }, "apns-endpoint: want"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := config(apns)
			c.spoil(&settings)
			_, err := New(settings)
			if err == nil {
				t.Fatal("taken")
			}
			if !strings.HasPrefix(err.Error(), c.tells) {
				t.Errorf("does not say what is wanted: %v", err)
			}
			for _, secret := range []string{"secret", "c2VjcmV0", apns.KeyID, apns.TeamID} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("tells %q: %v", secret, err)
				}
			}
		})
	}
}

// roundTripper is a function that implements http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestConnection(t *testing.T) {
	t.Run("the default endpoints are Apple's, one for each environment", connectionApple)
	t.Run("it uses HTTP/2, with TLS and without", connectionHTTP2)
}

func connectionApple(t *testing.T) {
	apns, err := pushtest.NewAPNs("org.example.mail")
	if err != nil {
		t.Fatal(err)
	}
	settings := config(apns)
	settings.Endpoint = ""
	var asked []string
	sender, err := newTransport(settings, roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Scheme+"://"+r.URL.Host)
		r.ProtoMajor, r.RequestURI = 2, r.URL.Path
		recorder := httptest.NewRecorder()
		apns.ServeHTTP(recorder, r)
		return recorder.Result(), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	d := device(apns.Register(nil))
	expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
	d = withParam(d, paramEnvironment, sandbox)
	expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
	if len(asked) != 2 || asked[0] != "https://api.push.apple.com" || asked[1] != "https://api.sandbox.push.apple.com" {
		t.Errorf("asked %v", asked)
	}
	noViolations(t, apns)
}

func connectionHTTP2(t *testing.T) {
	apns, err := pushtest.NewAPNs("org.example.mail")
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(apns)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewUnstartedServer(apns)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	d := device(apns.Register(nil))
	settings := config(apns)
	base := dialer()
	base.TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	base.TLSClientConfig.NextProtos = nil
	defer base.CloseIdleConnections()
	settings.Endpoint = secure.URL
	overTLS, err := newTransport(settings, base)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, overTLS.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
	settings.Endpoint = plain.URL + "/"
	without, err := New(settings)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, without.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
	noViolations(t, apns)
}
