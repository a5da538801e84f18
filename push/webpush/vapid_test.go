package webpush

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
)

func newVAPID(t *testing.T) *vapid {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &vapid{key: key, tokens: make(map[audience]token)}
}

// left returns the time until the token in an Authorization header expires.
func left(t *testing.T, authorization string) time.Duration {
	t.Helper()
	_, rest, _ := strings.Cut(authorization, ".")
	claims, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(claims)
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Exp int64 }
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&c); err != nil {
		t.Fatal(err)
	}
	return time.Until(time.Unix(c.Exp, 0))
}

var fcm = audience{"https://fcm.googleapis.com", "mailto:admin@example.org"}

func TestVAPID(t *testing.T) {
	t.Run("a token is used for six hours and expires after twelve", vapidLife)
	t.Run("a wrong clock costs nothing once it is right", vapidClock)
	t.Run("a token that many sends find rejected is renewed once in an hour", vapidRejected)
	t.Run("tokens of endless origins use bounded memory", vapidMany)
	t.Run("a key on another curve is not used", vapidCurve)
}

func vapidLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVAPID(t)
		tokens := make(map[string]bool)
		for range 48 * 4 { // two days, every quarter of an hour
			authorization, err := v.token(fcm)
			if err != nil {
				t.Fatal(err)
			}
			tokens[authorization] = true
			if l := left(t, authorization); l < 6*time.Hour || l > 12*time.Hour {
				t.Fatalf("a token good for %v was used", l)
			}
			time.Sleep(15 * time.Minute)
		}
		if len(tokens) != 8 {
			t.Errorf("%d tokens in two days, want one for each 6 h", len(tokens))
		}
	})
}

func vapidClock(t *testing.T) {
	for name, c := range map[string]struct {
		wrong    time.Duration // by how much the clock was ahead
		replaced bool
	}{
		"right":          {0, false},
		"a second ahead": {time.Second, true},
		"6 h ahead":      {6 * time.Hour, true},
		"25 h ahead":     {25 * time.Hour, true},
		"a year ahead":   {365 * 24 * time.Hour, true},
		"5 h behind":     {-5 * time.Hour, false},
		"6 h behind":     {-6 * time.Hour, true},
		"a year behind":  {-365 * 24 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVAPID(t)
				other, err := v.sign(fcm, time.Now().Round(0).Add(c.wrong))
				if err != nil {
					t.Fatal(err)
				}
				other.renewed = other.issued // it was rejected then
				v.keep(fcm, other)
				authorization, err := v.token(fcm)
				if l := left(t, authorization); err != nil || l <= 0 || l > 12*time.Hour || (authorization != other.authorization) != c.replaced {
					t.Errorf("good for %v, replaced: %v, %v", l, authorization != other.authorization, err)
				}
				// The time of the last renewal may be from the future, too.
				v.keep(fcm, other)
				if _, ok := v.renew(fcm, other.authorization); ok != (c.wrong != 0) {
					t.Errorf("renewed after a rejection: %v", ok)
				}
			})
		})
	}
}

func vapidRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVAPID(t)
		first, _ := v.token(fcm)
		second, ok := v.renew(fcm, first)
		if !ok || second == first {
			t.Fatal("the rejected token was not renewed")
		}
		if again, ok := v.renew(fcm, first); !ok || again != second {
			t.Error("a Send that was slower did not get the token that is there by now")
		}
		if _, ok := v.renew(fcm, second); ok {
			t.Error("renewed twice in a moment")
		}
		time.Sleep(time.Hour - time.Second)
		if _, ok := v.renew(fcm, second); ok {
			t.Error("renewed twice within an hour")
		}
		time.Sleep(time.Second)
		if third, ok := v.renew(fcm, second); !ok || third == second {
			t.Error("not renewed after an hour")
		}
	})
}

func vapidMany(t *testing.T) {
	v, most := newVAPID(t), 0
	for i := range 3 * 256 {
		if _, err := v.token(audience{fmt.Sprintf("https://%d.example.org", i), "mailto:a@example.org"}); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(v.tokens))
	}
	if most != 256 {
		t.Errorf("%d tokens are kept, want 256", most)
	}
}

func vapidCurve(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v := &vapid{key: key, tokens: make(map[audience]token)}
	if _, err := v.token(fcm); err == nil {
		t.Error("no error")
	}
}

func TestOrigin(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://fcm.googleapis.com/fcm/send/x": "https://fcm.googleapis.com",
		"https://Push.Example.ORG:443/x":        "https://push.example.org",
		"http://push.example.org:80":            "http://push.example.org",
		"https://push.example.org:80/x":         "https://push.example.org:80",
		"HTTPS://push.example.org:8443/x?y=z":   "https://push.example.org:8443",
		"https://[2001:db8::1]:443/x":           "https://[2001:db8::1]",
		"https://push.example.org:/x":           "https://push.example.org",
	} {
		u, err := parseEndpoint(idlepush.Secret(endpoint))
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
		} else if got := origin(u); got != want {
			t.Errorf("%s: got %s", endpoint, got)
		}
	}
}
