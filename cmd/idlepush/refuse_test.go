package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush/cmd/idlepush/api"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/push/pushtest"
	"idlepush/registry/testenv"
)

func TestWhatCannotWorkIsRefusedWithFieldAndReasonAndStoresNothing(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.SetUp(t)
	receiver, err := pushtest.NewReceiver()
	systemtest.Must(t, err)
	account := func(change object) object {
		a := s.Account()
		a["password"] = "planted-password"
		maps.Copy(a, change)
		return a
	}
	subscription := func(endpoint string) object {
		return object{"name": "phone", "transport": "webpush", "subscription": object{"endpoint": endpoint, "keys": api.Keys(receiver.Keys())}}
	}
	closedPort := strconv.Itoa(testenv.Port(t))
	for name, c := range map[string]struct {
		path   string
		body   any
		status int
		field  string
	}{
		"wrong password":           {"/accounts", account(nil), 422, "password"},
		"unknown host":             {"/accounts", account(object{"host": "no-such-host.invalid"}), 422, "host"},
		"expired certificate":      {"/accounts", account(object{"port": expiredTLS(t)}), 422, "host"},
		"unreachable port":         {"/accounts", account(object{"port": json.Number(closedPort)}), 422, "port"},
		"private network":          {"/accounts", account(object{"host": "192.168.77.77"}), 422, "host"},
		"malformed JSON":           {"/accounts", json.RawMessage(`{"password":"planted-password",`), 400, ""},
		"no JSON at all":           {"/devices", json.RawMessage("planted"), 400, ""},
		"unknown transport":        {"/devices", object{"name": "phone", "transport": "planted", "token": "planted"}, 422, "transport"},
		"token with a slash":       {"/devices", object{"name": "phone", "transport": "apns", "token": "planted/../" + strings.Repeat("a", 64)}, 422, "token"},
		"token FCM does not know":  {"/devices", object{"name": "phone", "transport": "fcm", "token": "planted"}, 422, "token"},
		"link-local endpoint":      {"/devices", subscription("https://169.254.169.254/planted"), 422, "subscription"},
		"endpoint that is no URL":  {"/devices", subscription("planted"), 422, "subscription.endpoint"},
		"endpoint of no browser":   {"/devices", subscription("https://permanently-removed.invalid/planted"), 422, "subscription.endpoint"},
		"endpoint without a phone": {"/devices", subscription(s.WebOrigin + "/push/planted"), 422, "subscription"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := raw(t, s, c.path, c.body)
			var p struct {
				Title, Detail, Code string
				Errors              []struct{ Field, Message string }
			}
			if err := json.Unmarshal([]byte(text), &p); err != nil || status != c.status || p.Code == "" || p.Detail == "" && p.Title == "" {
				t.Errorf("%d %s, want a problem of status %d with a code", status, text, c.status)
			}
			if c.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != c.field || p.Errors[0].Message == "") {
				t.Errorf("it blames %+v, want %s", p.Errors, c.field)
			}
			if strings.Contains(text, "planted") {
				t.Errorf("it repeats what was sent: %s", text)
			}
		})
	}
	for _, list := range []string{"/accounts", "/devices"} {
		var stored struct{ Items []any }
		systemtest.Must(t, s.Client.Get(testenv.Context(t), list, &stored))
		if len(stored.Items) != 0 {
			t.Errorf("%s holds %v", list, stored.Items)
		}
	}
	s.Stop(t)
	s.CheckNoSecrets(t)
}

// raw posts a body as it is and gives the answer.
func raw(t *testing.T, s *systemtest.System, path string, body any) (status int, text string) {
	t.Helper()
	out, ok := body.(json.RawMessage)
	if !ok {
		var err error
		out, err = json.Marshal(body)
		systemtest.Must(t, err)
	}
	r, err := http.NewRequestWithContext(testenv.Context(t), http.MethodPost, s.Client.Base+path, bytes.NewReader(out))
	systemtest.Must(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+s.Client.Token)
	answer, err := http.DefaultClient.Do(r)
	systemtest.Must(t, err)
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	systemtest.Must(t, err)
	return answer.StatusCode, string(all)
}

// expiredTLS shows a certificate that expired yesterday to whoever connects, and gives its port.
func expiredTLS(t *testing.T) int {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(0, 0, -1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}
