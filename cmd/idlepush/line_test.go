package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
	ID, Kind, From, Subject, Preview string
	At                               time.Time
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

// mails are the web pushes about mail, by device in order of arrival.
func (s *street) mails(t *testing.T) map[string][]rung {
	t.Helper()
	all := make(map[string][]rung)
	for _, m := range s.web.Messages() {
		if r := webRung(t, m); r.Kind == "mail" {
			all[string(m.Endpoint)] = append(all[string(m.Endpoint)], r)
		}
	}
	return all
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
	for _, violations := range [][]string{s.fcm.Violations(), s.apns.Violations(), s.web.Violations()} {
		if len(violations) > 0 {
			t.Errorf("a push service objects: %q", violations)
		}
	}

	var fetched struct{ From, Subject, Preview string }
	for id := range ids {
		s.must(t, s.client.get(t.Context(), "/notifications/"+id, &fetched))
	}
	if fetched.From != "Planted Sender" || fetched.Subject != "planted-subject" {
		t.Errorf("a woken app gets %+v", fetched)
	}
	s.stop(t)
	s.noSecrets(t)
}

// noSecrets looks through all that was logged and stored.
func (s *street) noSecrets(t *testing.T) {
	t.Helper()
	secrets := []string{"planted", "Planted", s.mail.Password, s.client.token}
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

func TestNothingIsLostAndNothingRingsTwiceUnderTwoIDsWhenTheDaemonIsKilled(t *testing.T) {
	s := newStreet(t)
	s.start(t)
	s.setUp(t)
	s.must(t, s.client.post(t.Context(), "/accounts", s.account(), nil))
	for i := range 3 {
		s.subscribe(t, fmt.Sprint("phone ", i), "webpush", "subject")
	}
	s.watching(t)
	var subjects []string
	for kill := range 12 {
		for i := range 4 {
			subject := fmt.Sprintf("mail-%d-%d", kill, i)
			subjects = append(subjects, subject)
			s.deliver(t, subject)
		}
		if kill%2 == 0 {
			// Dovecot tells of them 500 ms later, so this hits the search, the record, the sends and the settling alike.
			wait := time.NewTimer(rand.N(900 * time.Millisecond))
			<-wait.C
		} else {
			// A push is out and its outcome not yet written.
			before := s.web.Requests()
			eventually(t, "a push is on its way", func() bool { return s.web.Requests() > before })
		}
		s.kill(t)
		s.start(t)
	}
	eventually(t, "every mail has rung every phone", func() bool {
		all := s.mails(t)
		for _, list := range all {
			if len(distinct(list)) < len(subjects) {
				return false
			}
		}
		return len(all) == 3
	})
	for _, list := range s.mails(t) {
		got := distinct(list)
		if !slices.Equal(got, subjects) {
			t.Errorf("a phone rang for %q, in this order", got)
		}
		ids := make(map[string]string)
		for _, r := range list {
			if id, ok := ids[r.Subject]; ok && id != r.ID {
				t.Errorf("%s rang under two ids", r.Subject)
			}
			ids[r.Subject] = r.ID
		}
		t.Logf("%d mails, %d pushes", len(got), len(list))
	}
}

// distinct gives the subjects in order of their first push.
func distinct(list []rung) (subjects []string) {
	for _, r := range list {
		if !slices.Contains(subjects, r.Subject) {
			subjects = append(subjects, r.Subject)
		}
	}
	return subjects
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

func TestAPushServiceThatIsDownForAWhileLosesNothing(t *testing.T) {
	s := newStreet(t)
	s.start(t)
	s.furnish(t)
	s.web.Fail("", pushtest.Fault{Status: 503})
	for i := range 3 {
		s.deliver(t, fmt.Sprint("down-", i))
	}
	before := s.web.Requests()
	eventually(t, "the service was tried", func() bool { return s.web.Requests() > before })
	s.stop(t)
	s.start(t)
	s.web.Heal()
	eventually(t, "all has rung", func() bool {
		all := s.mails(t)
		for _, list := range all {
			if !slices.Equal(distinct(list), []string{"down-0", "down-1", "down-2"}) {
				return false
			}
		}
		return len(all) == 2
	})
}
