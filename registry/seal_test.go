package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// What must never be seen. Each is in the store in some form.
var planted = map[string]string{
	"mail password": "PLANTED-mailbox-password",
	"fcm token":     "PLANTED-fcm-token",
	"apns token":    "PLANTED-apns-token",
	"endpoint":      "https://push.example/PLANTED-endpoint",
	"auth secret":   "PLANTED-auth-secret",
	"another auth":  "PLANTED-encryption-auth",
	"sender":        "PLANTED-sender",
	"subject":       "PLANTED-subject",
	"message id":    "PLANTED-message-id",
	"preview":       "PLANTED-preview",
	"user password": "PLANTED-user-password",
}

// plantedHousehold fills a store with all that is planted, rewrites it and removes some of it.
func plantedHousehold(t *testing.T, s *Store) (ann User, a Account, list []Device, bearers []string) {
	ann, bearer := admin(t, s, "ann", planted["user password"])
	_, session, err := s.Login("ann", planted["user password"], Visit{}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	_, another, err := s.AddToken(ann.ID, "app", DeviceScope, dawn)
	if err != nil {
		t.Fatal(err)
	}
	a, _, err = s.AddAccount(Account{Owner: ann.ID, Email: "ann@example.org", Host: "imap.example.org", Port: 993, Security: TLS, Username: "ann",
		Password: Secret(planted["mail password"]), Folders: []string{"INBOX"}, Enabled: true}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	subscription := &Subscription{Endpoint: Secret(planted["endpoint"]), Keys: Keys{"p256dh", planted["auth secret"]}}
	for _, d := range []Device{
		{Transport: FCM, Token: Secret(planted["fcm token"]), Encryption: &Keys{"p256dh", planted["another auth"]}},
		{Transport: APNs, Token: Secret(planted["apns token"]), Environment: Sandbox},
		{Transport: WebPush, Subscription: subscription},
		{Transport: UnifiedPush, Subscription: subscription},
	} {
		d.User, d.Content = ann.ID, Preview
		list = append(list, register(t, s, d))
	}
	for round := range 5 {
		look := arrival(t, s, a, 10, dawn)
		for i := range look.Mails {
			look.Mails[i].Content = Content{planted["sender"], planted["subject"], planted["message id"], planted["preview"]}
		}
		if _, err := s.Record(look); err != nil {
			t.Fatal(err)
		}
		for _, state := range []State{Attention, Watching} {
			if err := setState(s, a, state, "login", "The password is refused.", dawn.Add(time.Duration(round)*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		drain(t, s, list[round%4], dawn)
	}
	return ann, a, list, []string{bearer, session, another}
}

func TestNothingPlantedIsInTheBytesOfTheFile(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	_, a, list, bearers := plantedHousehold(t, s)
	a.Password = "another one"
	if _, err := s.UpdateAccount(a, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveDevice(list[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	setup := tokenHash("x")
	data, err := os.ReadFile(filepath.Join(s.dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("imap.example.org")) {
		t.Error("the search finds nothing at all")
	}
	secrets := map[string]string{"PLANTED in any form": "PLANTED", "in base64": base64.StdEncoding.EncodeToString([]byte("PLANTED-"))[:10], "hash": string(setup)}
	for i, b := range bearers {
		secrets[fmt.Sprint("bearer token ", i)] = strings.TrimPrefix(b, "idlepush_")
	}
	for name, secret := range planted {
		secrets[name] = secret
	}
	for name, secret := range secrets {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("the file holds %s", name)
		}
	}
}

func TestNothingPlantedIsPrintedLoggedOrMarshalled(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, a, list, _ := plantedHousehold(t, s)
	page := allNotifications(t, s, ann, 50, dawn)
	mail := Mail{UID: 1, Content: Content{planted["sender"], planted["subject"], planted["message id"], planted["preview"]}}
	work := head(t, s, list[3], dawn)
	values := []any{ann, a, &a, []Account{a}, list, page, page[0], &page[len(page)-1], work, &work, mail, &mail, mail.Content, &mail.Content,
		Arrival{Mails: []Mail{mail}}, list[2].Subscription, *list[2].Subscription, list[2].Subscription.Keys, &list[2].Subscription.Keys,
		list[0].Encryption, *list[0].Encryption, a.Password, &a.Password, map[string]any{"device": list[0], "password": a.Password},
		fmt.Errorf("of %v", a.Password)}
	for _, d := range list {
		values = append(values, d, &d, d.Token)
	}
	for _, v := range values {
		var text, jsonText bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "value", v, slog.Group("g", "value", v))
		slog.New(slog.NewJSONHandler(&jsonText, nil)).Info("m", "value", v, slog.Group("g", "value", v))
		marshalled, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		for how, got := range map[string]string{
			"%v": fmt.Sprintf("%v", v), "%+v": fmt.Sprintf("%+v", v), "%#v": fmt.Sprintf("%#v", v), "%s": fmt.Sprintf("%s", v), "%q": fmt.Sprintf("%q", v), "%x": fmt.Sprintf("%x", v),
			"slog text": text.String(), "slog json": jsonText.String(), "json": string(marshalled),
		} {
			for name, secret := range planted {
				if strings.Contains(got, secret) || strings.Contains(got, fmt.Sprintf("%x", secret)) {
					t.Errorf("%T as %s shows the %s", v, how, name)
				}
			}
		}
	}
}

func TestASealedValueInAnotherPlaceIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, a, list, _ := plantedHousehold(t, s)
	b := mailbox(t, s, ann, "other@example.org")
	err := s.update(func(tx *bolt.Tx) error {
		var from, to accountRow
		if _, err := get(tx.Bucket(accounts), []byte(a.ID), &from); err != nil {
			return err
		}
		if _, err := get(tx.Bucket(accounts), []byte(b.ID), &to); err != nil {
			return err
		}
		to.Sealed = from.Sealed
		put(tx.Bucket(accounts), []byte(b.ID), to)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Account(b.ID); !errors.Is(err, ErrCorrupt) || got.Password != "" {
		t.Errorf("an account's: %v", err)
	}
	if _, err := s.Account(a.ID); err != nil {
		t.Errorf("the one that was copied: %v", err)
	}
	err = s.view(func(tx *bolt.Tx) error {
		var row deviceRow
		if _, err := get(tx.Bucket(devices), []byte(list[0].ID), &row); err != nil {
			return err
		}
		for _, place := range []string{"device/" + list[1].ID, "account/" + list[0].ID, "notification/" + list[0].ID, ""} {
			if err := s.seals.open(place, row.Sealed, new(deviceSecrets)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("a device's at %q: %v", place, err)
			}
		}
		return s.seals.open("device/"+list[0].ID, row.Sealed, new(deviceSecrets))
	})
	if err != nil {
		t.Errorf("a device's own: %v", err)
	}
}

func TestASealedValueThatWasChangedIsRefused(t *testing.T) {
	t.Parallel()
	seals, err := newSeals(newKey())
	if err != nil {
		t.Fatal(err)
	}
	sealed := seals.seal("place", "value")
	var got string
	if err := seals.open("place", sealed, &got); err != nil || got != "value" {
		t.Fatalf("%q, %v", got, err)
	}
	if bytes.Equal(sealed, seals.seal("place", "value")) {
		t.Error("the same value is sealed to the same bytes")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if err := seals.open("place", changed, &got); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if err := seals.open("place", sealed[:i], &got); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if err := seals.open("elsewhere", sealed, &got); !errors.Is(err, ErrCorrupt) {
		t.Errorf("elsewhere: %v", err)
	}
}
