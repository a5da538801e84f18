package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush/push/pushtest"
)

// rung is what the phones of one subject were told.
type rung struct {
	ID, Kind, Account, From, Subject, Preview string
	At                                        time.Time
}

func decode(t *testing.T, payload []byte) (r rung) {
	t.Helper()
	if err := json.Unmarshal(payload, &r); err != nil {
		t.Fatalf("a payload is no JSON: %v", err)
	}
	return r
}

func webRung(t *testing.T, m pushtest.WebPushMessage) rung {
	t.Helper()
	var shape struct{ Idlepush json.RawMessage }
	if err := json.Unmarshal(m.Body, &shape); err != nil {
		t.Fatalf("a web push body is no JSON: %v", err)
	}
	r := decode(t, shape.Idlepush)
	if r.ID != m.Topic {
		t.Errorf("the topic %s is not the id %s", m.Topic, r.ID)
	}
	return r
}

func TestNewMailRingsEveryPhoneWithinASecond(t *testing.T) {
	s := newStreet(t)
	s.start(t)
	s.furnish(t)
	began := time.Now()
	s.deliver(t, "planted-subject")
	// Each service got a proving push first.
	ids := make(map[string]bool)
	slowest := began
	note := func(service string, r rung, at time.Time) {
		if r.Kind != "mail" || r.ID == "" {
			t.Errorf("%s: got %+v", service, r)
		}
		ids[r.ID] = true
		if at.After(slowest) {
			slowest = at
		}
	}
	google, err := s.fcm.Wait(t.Context(), 2)
	s.must(t, err)
	if r := decode(t, google[1].Payload); r.From != "Planted Sender" || r.Subject != "planted-subject" {
		t.Errorf("fcm, encrypted: got %+v", r)
	} else {
		note("fcm", r, google[1].At)
	}
	apple, err := s.apns.Wait(t.Context(), 2)
	s.must(t, err)
	if r := decode(t, apple[1].Payload); r.From != "" || r.Subject != "" || apple[1].Title != "New mail" || apple[1].CollapseID != r.ID {
		t.Errorf("apns, wake: got %+v with title %q", r, apple[1].Title)
	} else {
		note("apns", r, apple[1].At)
	}
	browsers, err := s.web.Wait(t.Context(), 4)
	s.must(t, err)
	for _, m := range browsers[2:] {
		note("web push", webRung(t, m), m.At)
	}
	if len(ids) != 1 {
		t.Errorf("one mail rang with the ids %v", ids)
	}
	// Dovecot itself tells of new mail up to half a second late.
	t.Logf("the last phone rang %v after dovecot-lda began", slowest.Sub(began).Round(time.Millisecond))
	if late := slowest.Sub(began); late > 5*time.Second {
		t.Errorf("the last phone rang after %v", late)
	}

	var fetched struct{ From, Subject, Preview string }
	for id := range ids {
		s.must(t, s.client.get(t.Context(), "/notifications/"+id, &fetched))
	}
	if fetched.From != "Planted Sender" || fetched.Subject != "planted-subject" {
		t.Errorf("a woken app gets %+v", fetched)
	}
	s.previews(t)
	s.stop(t)
	s.noSecrets(t)
}

// previews asks for each device's preview, which sends nothing and tells no secret.
func (s *street) previews(t *testing.T) {
	t.Helper()
	before := s.fcm.Requests() + s.apns.Requests() + s.web.Requests()
	var devices struct{ Items []struct{ ID, Name string } }
	s.must(t, s.client.get(t.Context(), "/devices", &devices))
	for _, d := range devices.Items {
		var p struct{ URL, Body, Plaintext string }
		s.must(t, s.client.get(t.Context(), "/devices/"+d.ID+"/preview?content=subject", &p))
		if told := p.Body + p.Plaintext; !strings.Contains(told, "Dinner on Sunday?") || !strings.Contains(p.URL+p.Body, "HIDDEN") {
			t.Errorf("%s: the preview is %+v", d.Name, p)
		}
		// It is encrypted for all of them but the iPhone, which gave no key.
		if clear := strings.Contains(p.Body, "Dinner"); clear != (d.Name == "iphone") {
			t.Errorf("%s: that the service reads the subject is %v", d.Name, clear)
		}
	}
	if sent := s.fcm.Requests() + s.apns.Requests() + s.web.Requests() - before; sent > 0 || len(devices.Items) != 4 {
		t.Errorf("%d previews sent %d pushes", len(devices.Items), sent)
	}
}

// noSecrets looks through all that was logged and stored, also for these words of mail.
func (s *street) noSecrets(t *testing.T, words ...string) {
	t.Helper()
	secrets := append(words, "planted", "Planted", s.mail.Password)
	if s.client.token != "" {
		secrets = append(secrets, s.client.token)
	}
	for _, m := range s.web.Messages() {
		_, path, _ := strings.Cut(strings.TrimPrefix(string(m.Endpoint), "http://"), "/")
		secrets = append(secrets, path, m.Token)
	}
	for _, m := range s.fcm.Messages() {
		secrets = append(secrets, string(m.Token))
	}
	for _, m := range s.apns.Messages() {
		secrets = append(secrets, string(m.Token))
	}
	store, err := os.ReadFile(filepath.Join(s.dir, "data", "idlepush.db"))
	s.must(t, err)
	for name, text := range map[string]string{"the log": s.log.String(), "the store": string(store)} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret that begins with %.8q", name, secret)
			}
		}
	}
}

func TestASecondDaemonOnTheSameDataIsToldWithinTwoSeconds(t *testing.T) {
	s := newStreet(t)
	s.start(t)
	second := exec.Command(s.process.Path, "serve")
	second.Env = append(slices.Clone(s.process.Env), "IDLEPUSH_LISTEN=127.0.0.1:0")
	began := time.Now()
	out, err := second.CombinedOutput()
	if took := time.Since(began); err == nil || took > 4*time.Second {
		t.Errorf("it ended with %v after %v", err, took)
	}
	if want := filepath.Join(s.dir, "data", "idlepush.db"); !strings.Contains(string(out), want) || !strings.Contains(string(out), "in use by another process") {
		t.Errorf("it says %q", out)
	}
	s.stop(t)
}
