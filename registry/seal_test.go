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

	"idlepush"
	"idlepush/registry/table"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	t.Run("no planted secret is in the bytes of the file", secretsInFile)
	t.Run("no planted secret is printed, logged or marshalled", secretsPrinted)
	t.Run("a sealed column of another row is refused", sealedElsewhere)
}

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
	"one-time code": "PLANTED-code",
	"user password": "PLANTED-user-password",
}

// plantedHousehold fills a store with all that is planted, rewrites it and removes some of it.
func plantedHousehold(t *testing.T, s *Store) (ann idlepush.User, a idlepush.Account, list []idlepush.Device, bearers []string) {
	ann, bearer := admin(t, s, "ann", planted["user password"])
	_, session, err := s.Logins.Login("ann", planted["user password"], Visit{}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	_, another, err := s.Logins.AddToken(ann.ID, "app", idlepush.ScopeDevice, "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	a, _, err = s.Accounts.Add(idlepush.Account{Owner: ann.ID, Email: "ann@example.org", Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS, Username: "ann",
		Password: idlepush.Secret(planted["mail password"]), Folders: []string{"INBOX"}, Enabled: true}, "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, keys := idlepush.Secret(planted["endpoint"]), &idlepush.Keys{P256dh: "p256dh", Auth: planted["auth secret"]}
	for _, d := range []idlepush.Device{
		{Transport: FCM, Address: idlepush.Secret(planted["fcm token"]), Keys: &idlepush.Keys{P256dh: "p256dh", Auth: planted["another auth"]}},
		{Transport: APNs, Address: idlepush.Secret(planted["apns token"]), Params: in(sandbox)},
		{Transport: WebPush, Address: endpoint, Keys: keys},
		{Transport: UnifiedPush, Address: endpoint, Keys: keys},
	} {
		d.User, d.Content = ann.ID, idlepush.LevelPreview
		list = append(list, register(t, s, d))
	}
	for round := range 5 {
		look := arrival(t, s, a, 10, dawn)
		for i := range look.Mails {
			look.Mails[i].Content = idlepush.Content{From: planted["sender"], Subject: planted["subject"], MessageID: planted["message id"], Preview: planted["preview"], OneTimeCode: planted["one-time code"]}
		}
		if _, err := s.Mail.Record(look); err != nil {
			t.Fatal(err)
		}
		for _, state := range []idlepush.State{idlepush.StateAttention, idlepush.StateWatching} {
			if err := setState(s, a, state, "login", "The password is refused.", dawn.Add(time.Duration(round)*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		drain(t, s, list[round%4], dawn)
	}
	return ann, a, list, []string{bearer, session, another}
}

func secretsInFile(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	_, a, list, bearers := plantedHousehold(t, s)
	a.Password = "another one"
	if _, err := s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Devices.Remove(list[0], ""); err != nil {
		t.Fatal(err)
	}

	data, err := os.ReadFile(filepath.Join(s.dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("imap.example.org")) {
		t.Error("the search finds nothing at all")
	}
	secrets := map[string]string{"PLANTED in any form": "PLANTED", "in base64": base64.StdEncoding.EncodeToString([]byte("PLANTED-"))[:10]}
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

func secretsPrinted(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, a, list, _ := plantedHousehold(t, s)
	page := allNotifications(t, s, ann, 50, dawn)
	mail := Message{UID: 1, Content: idlepush.Content{From: planted["sender"], Subject: planted["subject"], MessageID: planted["message id"], Preview: planted["preview"]}}
	work := first(t, s, list[3], dawn)
	values := []any{ann, a, &a, []idlepush.Account{a}, list, page, page[0], &page[len(page)-1], work, &work, mail, &mail, mail.Content, &mail.Content,
		Arrival{Mails: []Message{mail}}, list[2].Keys, *list[2].Keys,
		list[0].Keys, *list[0].Keys, a.Password, &a.Password, map[string]any{"device": list[0], "password": a.Password},
		fmt.Errorf("of %v", a.Password)}
	for _, d := range list {
		values = append(values, d, &d, d.Address)
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

func sealedElsewhere(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, a, list, _ := plantedHousehold(t, s)
	b := mailbox(t, s, ann, "other@example.org")
	err := s.db.Update(func(tx *table.Tx) error {
		from, _, err := accounts.Get(tx, id(a.ID))
		if err != nil {
			return err
		}
		to, _, err := accounts.Get(tx, id(b.ID))
		to.Password = from.Password
		return errors.Join(err, accounts.Put(tx, id(b.ID), to))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Accounts.Get(b.ID); err != nil || got.Password != "" {
		t.Errorf("an account's is read: %v, %v", got.Password != "", err)
	}
	if got, err := s.Accounts.Get(a.ID); err != nil || got.Password != a.Password {
		t.Errorf("the one that was copied: %v", err)
	}
	err = s.db.View(func(tx *table.Tx) error {
		at := deviceKey{id(ann.ID), id(list[0].ID)}
		row, _, err := devices.Get(tx, at)
		if err != nil {
			return err
		}
		for name, place := range map[string]table.Place{
			"another device": devices.Place(tx, deviceKey{id(ann.ID), id(list[1].ID)}), "another user's": devices.Place(tx, deviceKey{id(b.ID), at.device}),
			"an account": accounts.Place(tx, at.device), "a notification": notifications.Place(tx, notificationKey{at.device, 0}),
		} {
			if err := place.Open(row.Secrets, new(deviceSecrets)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("a device's at %s: %v", name, err)
			}
		}
		return devices.Place(tx, at).Open(row.Secrets, new(deviceSecrets))
	})
	if err != nil {
		t.Errorf("a device's own: %v", err)
	}
	// checkRows would find it, too.
	if err := s.Accounts.Remove(b.ID, dawn); err != nil {
		t.Error(err)
	}
}
