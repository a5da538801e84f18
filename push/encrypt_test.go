package push_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
)

func newReceiver(t testing.TB) *pushtest.Receiver {
	t.Helper()
	r, err := pushtest.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEncrypt(t *testing.T) {
	t.Run("its receiver decrypts it, and nobody else", encryptReceiver)
	t.Run("a plaintext that does not fit is refused", encryptTooLarge)
	t.Run("the length of a body tells little of its content", encryptPadding)
	t.Run("every body has a fresh salt and key pair", encryptFresh)
}

func encryptReceiver(t *testing.T) {
	receiver, other := newReceiver(t), newReceiver(t)
	for _, size := range []int{0, 1, 254, 255, 256, 257, 2500, 3992, 3993} {
		plaintext := bytes.Repeat([]byte{0, 2, 'x'}, size)[:size]
		body, err := push.Encrypt(plaintext, receiver.Keys())
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if len(body) > 4096 {
			t.Errorf("%d bytes became a body of %d, services take 4096", size, len(body))
		}
		got, err := receiver.Decrypt(body)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
		}
		if _, err := other.Decrypt(body); err == nil {
			t.Errorf("%d bytes: another receiver could read them", size)
		}
	}
}

func encryptTooLarge(t *testing.T) {
	if _, err := push.Encrypt(make([]byte, 3994), newReceiver(t).Keys()); err == nil {
		t.Error("no error")
	}
}

func encryptPadding(t *testing.T) {
	keys := newReceiver(t).Keys()
	for size := range 600 {
		body, err := push.Encrypt(make([]byte, size), keys)
		if err != nil {
			t.Fatal(err)
		}
		if want := 86 + 256*(size/256+1) + 16; len(body) != want { // header, record and tag
			t.Errorf("%d bytes became a body of %d, want %d", size, len(body), want)
		}
	}
}

func encryptFresh(t *testing.T) {
	keys := newReceiver(t).Keys()
	salts, publics := make(map[string]bool), make(map[string]bool)
	for range 50 {
		body, err := push.Encrypt([]byte("same"), keys)
		if err != nil {
			t.Fatal(err)
		}
		salts[string(body[:16])], publics[string(body[21:86])] = true, true
	}
	if len(salts) != 50 || len(publics) != 50 {
		t.Errorf("50 bodies had %d salts and %d keys", len(salts), len(publics))
	}
}

func TestKeys(t *testing.T) {
	t.Run("keys are accepted in every base64 that clients send", keysBase64)
	t.Run("an invalid key is named but not quoted", keysInvalid)
}

func keysBase64(t *testing.T) {
	receiver := newReceiver(t)
	keys := receiver.Keys()
	point, _ := base64.RawURLEncoding.DecodeString(keys.P256dh)
	auth, _ := base64.RawURLEncoding.DecodeString(keys.Auth)
	for name, e := range map[string]*base64.Encoding{
		"raw url": base64.RawURLEncoding, "url": base64.URLEncoding, "raw std": base64.RawStdEncoding, "std": base64.StdEncoding,
	} {
		body, err := push.Encrypt([]byte("hello"), idlepush.Keys{P256dh: e.EncodeToString(point), Auth: e.EncodeToString(auth)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := receiver.Decrypt(body); err != nil || string(got) != "hello" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func keysInvalid(t *testing.T) {
	good := newReceiver(t).Keys()
	point, _ := base64.RawURLEncoding.DecodeString(good.P256dh)
	encode := base64.RawURLEncoding.EncodeToString
	offCurve := bytes.Clone(point)
	offCurve[64] ^= 1
	compressed := append([]byte{2}, point[1:33]...)
	for name, c := range map[string]struct {
		keys  idlepush.Keys
		field string
	}{
		"no p256dh":      {idlepush.Keys{Auth: good.Auth}, "p256dh"},
		"no auth":        {idlepush.Keys{P256dh: good.P256dh}, "auth"},
		"not base64":     {idlepush.Keys{P256dh: "?" + good.P256dh, Auth: good.Auth}, "p256dh"},
		"compressed":     {idlepush.Keys{P256dh: encode(compressed), Auth: good.Auth}, "p256dh"},
		"not a point":    {idlepush.Keys{P256dh: encode(offCurve), Auth: good.Auth}, "p256dh"},
		"zero point":     {idlepush.Keys{P256dh: encode(make([]byte, 65)), Auth: good.Auth}, "p256dh"},
		"hybrid form":    {idlepush.Keys{P256dh: encode(append([]byte{6}, point[1:]...)), Auth: good.Auth}, "p256dh"},
		"short auth":     {idlepush.Keys{P256dh: good.P256dh, Auth: encode(make([]byte, 15))}, "auth"},
		"long auth":      {idlepush.Keys{P256dh: good.P256dh, Auth: encode(make([]byte, 17))}, "auth"},
		"auth no base64": {idlepush.Keys{P256dh: good.P256dh, Auth: "not base64 at all!"}, "auth"},
	} {
		err := push.CheckKeys(c.keys)
		bad, ok := errors.AsType[*push.FieldError](err)
		if !ok || bad.Field != c.field {
			t.Errorf("%s: got %v, want a complaint about %s", name, err, c.field)
			continue
		}
		if c.keys.P256dh != "" && strings.Contains(err.Error(), c.keys.P256dh) || c.keys.Auth != "" && strings.Contains(err.Error(), c.keys.Auth) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
		if _, err := push.Encrypt(nil, c.keys); err == nil {
			t.Errorf("%s: Encrypt took the key", name)
		}
	}
	if err := push.CheckKeys(good); err != nil {
		t.Error(err)
	}
}

func BenchmarkEncrypt(b *testing.B) {
	keys, plaintext := newReceiver(b).Keys(), make([]byte, 2500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := push.Encrypt(plaintext, keys); err != nil {
			b.Fatal(err)
		}
	}
}
