package push_test

import (
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"

	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

// vectors is docs/testdata/vectors.json: what an app's author tests a decryption with.
type vectors struct {
	About   string   `json:"about"`
	Device  vectorOf `json:"device"`
	Vectors []vector `json:"vectors"`
}

type vectorOf struct {
	PrivateKey string `json:"private_key"`
	P256dh     string `json:"p256dh"`
	Auth       string `json:"auth"`
}

type vector struct {
	Name             string `json:"name"`
	Salt             string `json:"salt"`
	SenderPrivateKey string `json:"sender_private_key"`
	Plaintext        string `json:"plaintext"`
	Encrypted        string `json:"encrypted"`
}

// The keys of RFC 8291 appendix A.
const (
	vectorDevice = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
	vectorP256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	vectorAuth   = "BTBZMqHH6r4Tts7J_aSIgg"
	vectorSender = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
)

// makeVectors are the payloads of the kinds at the levels, sealed with a salt for each.
func makeVectors(t *testing.T) vectors {
	t.Helper()
	v := vectors{
		About:  "Test vectors for docs/apps.md. All but plaintext is base64url without padding; encrypted is what an app finds in data.encrypted (FCM) or encrypted (APNs).",
		Device: vectorOf{vectorDevice, vectorP256dh, vectorAuth},
	}
	add := func(name string, plaintext []byte) {
		salt := sha256.Sum256([]byte(name))
		one := vector{Name: name, Salt: base64.RawURLEncoding.EncodeToString(salt[:16]), SenderPrivateKey: vectorSender, Plaintext: string(plaintext)}
		one.Encrypted = base64.RawURLEncoding.EncodeToString(resealed(t, v.Device, one))
		v.Vectors = append(v.Vectors, one)
	}
	for _, one := range []struct {
		kind  registry.Kind
		level registry.Level
	}{{registry.MailKind, registry.Wake}, {registry.MailKind, registry.Preview}, {registry.SummaryKind, registry.Subject},
		{registry.ClearKind, registry.Subject}, {registry.AttentionKind, registry.Subject}, {registry.TestKind, registry.Subject}} {
		m := push.Render(pushtest.Work(one.kind, registry.Device{Content: one.level}), "https://push.example.org/")
		add(string(one.kind)+", "+string(one.level), m.Payload)
	}
	strange := pushtest.Work(registry.MailKind, registry.Device{Content: registry.Preview})
	strange.Notification.Content = registry.Content{From: "Grüße 𝄞", Subject: `"quoted" \ <&> é`, Preview: "日本語"}
	add("mail, text beyond ASCII", push.Render(strange, "https://push.example.org/").Payload)
	return v
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unbase64url(t *testing.T, text string) []byte {
	t.Helper()
	value, err := base64.RawURLEncoding.Strict().DecodeString(text)
	fatal(t, err)
	return value
}

func resealed(t *testing.T, to vectorOf, v vector) []byte {
	t.Helper()
	sender, err := ecdh.P256().NewPrivateKey(unbase64url(t, v.SenderPrivateKey))
	fatal(t, err)
	body, err := push.SealWith([]byte(v.Plaintext), registry.Keys{P256dh: to.P256dh, Auth: to.Auth}, unbase64url(t, v.Salt), sender)
	fatal(t, err)
	return body
}

// TestTheVectorsForAppsAreWhatIsSentAndCanBeRead: they are sealed to exactly these bytes, and a decryption that shares no code reads them.
func TestTheVectorsForAppsAreWhatIsSentAndCanBeRead(t *testing.T) {
	const path = "../docs/testdata/vectors.json"
	if *push.UpdateGolden {
		text, err := json.MarshalIndent(makeVectors(t), "", "  ")
		fatal(t, err)
		fatal(t, os.WriteFile(path, append(text, '\n'), 0o644))
	}
	text, err := os.ReadFile(path)
	fatal(t, err)
	var v vectors
	fatal(t, json.Unmarshal(text, &v))
	private, err := ecdh.P256().NewPrivateKey(unbase64url(t, v.Device.PrivateKey))
	fatal(t, err)
	receiver := pushtest.ReceiverOf(private, unbase64url(t, v.Device.Auth))
	if receiver.Keys() != (registry.Keys{P256dh: v.Device.P256dh, Auth: v.Device.Auth}) {
		t.Error("p256dh is not the public key of private_key")
	}
	want := makeVectors(t)
	if len(v.Vectors) != len(want.Vectors) {
		t.Fatalf("%d vectors, want %d", len(v.Vectors), len(want.Vectors))
	}
	for i, one := range v.Vectors {
		if one != want.Vectors[i] {
			t.Errorf("%s: it is now %+v", one.Name, want.Vectors[i])
		}
		plaintext, err := receiver.Decrypt(unbase64url(t, one.Encrypted))
		if err != nil || string(plaintext) != one.Plaintext {
			t.Errorf("%s: it is read as %q, %v", one.Name, plaintext, err)
		}
	}
}
