package pushtest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry/testenv"
)

var raw = base64.RawURLEncoding

// request is a valid push request in parts that a test can change.
type request struct {
	method, alg, aud, sub, scheme, key string
	exp                                int64
	signer                             *ecdsa.PrivateKey
	header                             map[string]string
	body                               []byte
}

func valid(t *testing.T, origin string, sub pushtest.Subscription, signer *ecdsa.PrivateKey) *request {
	t.Helper()
	body, err := push.Encrypt([]byte("hello"), sub.Keys)
	if err != nil {
		t.Fatal(err)
	}
	return &request{
		method: "POST", alg: "ES256", aud: origin, sub: "mailto:a@example.org", scheme: "vapid", key: publicKey(t, signer),
		exp: time.Now().Add(12 * time.Hour).Unix(), signer: signer, body: body,
		header: map[string]string{"TTL": "60", "Urgency": "high", "Topic": "AbCd", "Content-Encoding": "aes128gcm"},
	}
}

func publicKey(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw.EncodeToString(point)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (q *request) send(t *testing.T, endpoint idlepush.Secret) (int, string) {
	t.Helper()
	text := raw.EncodeToString(fmt.Appendf(nil, `{"typ":"JWT","alg":%q}`, q.alg)) + "." +
		raw.EncodeToString(fmt.Appendf(nil, `{"aud":%q,"sub":%q,"exp":%d}`, q.aud, q.sub, q.exp))
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, q.signer, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	h, err := http.NewRequestWithContext(t.Context(), q.method, string(endpoint), bytes.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range q.header {
		h.Header.Set(name, value)
	}
	h.Header.Set("Authorization", q.scheme+" t="+text+"."+raw.EncodeToString(signature)+", k="+q.key)
	response, err := http.DefaultClient.Do(h)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(answer)
}

func TestWebPush(t *testing.T) {
	t.Run("it refuses what real services refuse", webPushRefuses)
	t.Run("it accepts and records valid messages", webPushRecords)
	t.Run("it accepts no salt for two messages", webPushSalt)
}

func webPushRefuses(t *testing.T) {
	signer, other := newKey(t), newKey(t)
	for name, c := range map[string]struct {
		spoil  func(*request)
		status int
		reason string
	}{
		"a GET":                   {func(q *request) { q.method = "GET" }, 405, "MethodNotAllowed"},
		"no TTL":                  {func(q *request) { delete(q.header, "TTL") }, 400, "BadTtl"},
		"negative TTL":            {func(q *request) { q.header["TTL"] = "-1" }, 400, "BadTtl"},
		"no coding":               {func(q *request) { delete(q.header, "Content-Encoding") }, 400, "BadWebPushRequest"},
		"the draft's coding":      {func(q *request) { q.header["Content-Encoding"] = "aesgcm" }, 400, "BadWebPushRequest"},
		"unknown urgency":         {func(q *request) { q.header["Urgency"] = "urgent" }, 400, "BadUrgency"},
		"long topic":              {func(q *request) { q.header["Topic"] = strings.Repeat("a", 33) }, 400, "BadWebPushTopic"},
		"topic outside base64url": {func(q *request) { q.header["Topic"] = "ab+d" }, 400, "BadWebPushTopic"},
		"impossible topic length": {func(q *request) { q.header["Topic"] = "abcde" }, 400, "BadWebPushTopic"},
		"oversize":                {func(q *request) { q.body = make([]byte, 4097) }, 413, "PayloadTooLarge"},
		"plain text":              {func(q *request) { q.body = []byte("hello") }, 400, "BadWebPushRequest"},
		"a flipped bit":           {func(q *request) { q.body[90] ^= 1 }, 400, "BadWebPushRequest"},
		"empty":                   {func(q *request) { q.body = nil }, 400, "BadWebPushRequest"},
		"another scheme":          {func(q *request) { q.scheme = "Bearer" }, 401, "MissingAuthorization"},
		"another algorithm":       {func(q *request) { q.alg = "none" }, 403, "BadJwtToken"},
		"another audience":        {func(q *request) { q.aud += "/push" }, 403, "BadJwtToken"},
		"expired":                 {func(q *request) { q.exp = time.Now().Add(-time.Second).Unix() }, 403, "ExpiredJwtToken"},
		"more than a day ahead":   {func(q *request) { q.exp = time.Now().Add(24*time.Hour + time.Minute).Unix() }, 403, "BadJwtToken"},
		"no subject":              {func(q *request) { q.sub = "" }, 403, "BadJwtToken"},
		"a bare address":          {func(q *request) { q.sub = "a@example.org" }, 403, "BadJwtToken"},
		"doubled mailto":          {func(q *request) { q.sub = "mailto:mailto:a@example.org" }, 403, "BadJwtToken"},
		"http subject":            {func(q *request) { q.sub = "http://example.org" }, 403, "BadJwtToken"},
		"another signer":          {func(q *request) { q.signer = other }, 403, "BadJwtToken"},
		"another key":             {func(q *request) { q.signer, q.key = other, publicKey(t, other) }, 400, "VapidPkHashMismatch"},
		"a padded key":            {func(q *request) { q.key += "=" }, 400, "VapidPkHashMismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			service := pushtest.NewWebPush()
			server := httptest.NewServer(service)
			defer server.Close()
			sub, err := service.Subscribe(server.URL, publicKey(t, signer))
			if err != nil {
				t.Fatal(err)
			}
			q := valid(t, server.URL, sub, signer)
			c.spoil(q)
			if status, answer := q.send(t, sub.Endpoint); status != c.status || !strings.Contains(answer, c.reason) {
				t.Errorf("got %d %s, want %d %s; %v", status, answer, c.status, c.reason, service.Violations())
			}
			if len(service.Violations()) != 1 || len(service.Messages()) != 0 {
				t.Errorf("violations %q, messages %v", service.Violations(), service.Messages())
			}
		})
	}
}

func webPushRecords(t *testing.T) {
	service := pushtest.NewWebPush()
	server := httptest.NewServer(service)
	defer server.Close()
	signer := newKey(t)
	first, err := service.Subscribe(server.URL, publicKey(t, signer))
	if err != nil {
		t.Fatal(err)
	}
	second, err := service.Subscribe(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	q := valid(t, server.URL, first, signer)
	for range 2 { // the same message again is a duplicate, no violation
		if status, answer := q.send(t, first.Endpoint); status != http.StatusCreated {
			t.Fatal(status, answer)
		}
	}
	if status, answer := valid(t, server.URL, second, newKey(t)).send(t, second.Endpoint); status != http.StatusCreated {
		t.Fatal(status, answer)
	}
	all, err := service.Wait(testenv.Context(t), 3)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	if got := all; got[1].Endpoint != first.Endpoint || got[2].Endpoint != second.Endpoint || string(got[1].Body) != "hello" || got[0].Topic != got[1].Topic || got[0].TTL != time.Minute {
		t.Errorf("got %+v", got)
	}
	if status, _ := q.send(t, second.Endpoint); status != http.StatusBadRequest {
		t.Errorf("a message for another receiver: %d", status)
	}
}

func webPushSalt(t *testing.T) {
	service := pushtest.NewWebPush()
	server := httptest.NewServer(service)
	defer server.Close()
	sub, err := service.Subscribe(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	one, two := valid(t, server.URL, sub, newKey(t)), valid(t, server.URL, sub, newKey(t))
	copy(two.body, one.body[:16])
	one.send(t, sub.Endpoint)
	if status, _ := two.send(t, sub.Endpoint); status != http.StatusBadRequest {
		t.Errorf("got %d", status)
	}
}

func TestFault(t *testing.T) {
	t.Run("faults happen in order, as often as they should", faultOrder)
	t.Run("an answer can break in the middle", faultHalf)
	t.Run("a fault can begin after some deliveries, or at a time", faultDelayed)
}

func faultDelayed(t *testing.T) {
	const ok, lost, down = http.StatusCreated, http.StatusNotFound, http.StatusServiceUnavailable
	for name, c := range map[string]struct {
		faults []pushtest.Fault
		want   []int
	}{
		"at once":               {[]pushtest.Fault{{Status: lost}}, []int{lost, lost}},
		"after two":             {[]pushtest.Fault{{Status: lost, After: 2}}, []int{ok, ok, lost, lost}},
		"after one, once":       {[]pushtest.Fault{{Status: lost, After: 1, Times: 1}}, []int{ok, lost, ok, ok}},
		"in an hour":            {[]pushtest.Fault{{Status: lost, From: time.Now().Add(time.Hour)}}, []int{ok, ok}},
		"an hour ago":           {[]pushtest.Fault{{Status: lost, From: time.Now().Add(-time.Hour)}}, []int{lost, lost}},
		"after one, then again": {[]pushtest.Fault{{Status: lost, After: 1, Times: 1}, {Status: down, After: 1}}, []int{ok, lost, ok, down}},
	} {
		t.Run(name, func(t *testing.T) {
			service := pushtest.NewWebPush()
			server := httptest.NewServer(service)
			defer server.Close()
			sub, err := service.Subscribe(server.URL, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range c.faults {
				service.Fail("", f)
			}
			signer := newKey(t)
			for i, want := range c.want {
				if status, _ := valid(t, server.URL, sub, signer).send(t, sub.Endpoint); status != want {
					t.Errorf("answer %d is %d, want %d", i, status, want)
				}
			}
		})
	}
}

func faultOrder(t *testing.T) {
	service := pushtest.NewWebPush()
	server := httptest.NewServer(service)
	defer server.Close()
	sub, err := service.Subscribe(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	service.Fail("", pushtest.Fault{Status: 500})
	service.Fail(string(sub.Endpoint), pushtest.Fault{Status: 429, Times: 2})
	service.Fail(string(sub.Endpoint), pushtest.Fault{Status: 202, Accepted: true, Times: 1})
	signer := newKey(t)
	for _, want := range []int{429, 429, 202, 500, 500} {
		if status, _ := valid(t, server.URL, sub, signer).send(t, sub.Endpoint); status != want {
			t.Errorf("got %d, want %d", status, want)
		}
	}
	service.ClearFaults()
	if status, _ := valid(t, server.URL, sub, signer).send(t, sub.Endpoint); status != http.StatusCreated {
		t.Errorf("healed, got %d", status)
	}
	if got := service.Messages(); len(got) != 2 { // the 202 and the 201
		t.Errorf("%d messages", len(got))
	}
	service.Gone(sub.Endpoint)
	if status, _ := valid(t, server.URL, sub, signer).send(t, sub.Endpoint); status != http.StatusGone {
		t.Errorf("gone, got %d", status)
	}
}

func TestRecord(t *testing.T) {
	t.Run("if Received is set, messages are passed to it and not recorded", recordReceived)
	t.Run("Wait ends with its context", recordWait)
}

func recordReceived(t *testing.T) {
	service := pushtest.NewWebPush()
	got := make(chan pushtest.WebPushMessage, 1)
	service.Received = func(m pushtest.WebPushMessage) { got <- m }
	server := httptest.NewServer(service)
	defer server.Close()
	sub, err := service.Subscribe(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	valid(t, server.URL, sub, newKey(t)).send(t, sub.Endpoint)
	select {
	case m := <-got:
		if string(m.Body) != "hello" || m.Endpoint != sub.Endpoint || len(service.Messages()) != 0 {
			t.Errorf("got %+v, recorded %v", m, service.Messages())
		}
	default:
		t.Error("it was answered and not handed on")
	}
}

func recordWait(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	tired := errors.New("tired")
	cancel(tired)
	if got, err := pushtest.NewWebPush().Wait(ctx, 1); !errors.Is(err, tired) || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func faultHalf(t *testing.T) {
	service := pushtest.NewWebPush()
	server := httptest.NewServer(service)
	defer server.Close()
	sub, err := service.Subscribe(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fault  pushtest.Fault
		status int
		half   string
	}{
		{pushtest.Fault{Status: 503, Body: pushtest.ErrorPage}, 503, pushtest.ErrorPage[:len(pushtest.ErrorPage)/2]},
		{pushtest.Fault{Status: 200}, 201, "{"},
	} {
		c.fault.Half, c.fault.Times = true, 1
		service.Fail("", c.fault)
		if status, answer := valid(t, server.URL, sub, newKey(t)).send(t, sub.Endpoint); status != c.status || answer != c.half {
			t.Errorf("%d %q, want %d %q", status, answer, c.status, c.half)
		}
	}
	if len(service.Messages()) != 1 || len(service.Violations()) != 0 {
		t.Errorf("%d messages, violations %q", len(service.Messages()), service.Violations())
	}
}
