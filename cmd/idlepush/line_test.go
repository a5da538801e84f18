package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

// How soon it rings is a figure, and BenchmarkMailToPush prints it.
func TestNewMailRingsEveryPhone(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Populate(t)
	began := time.Now()
	s.Deliver(t, "planted-subject")
	ctx := testenv.Context(t)
	// Each service got a proving push first.
	ids := make(map[string]bool)
	slowest := began
	note := func(service string, r systemtest.Push, at time.Time) {
		if r.Kind != "mail" || r.ID == "" {
			t.Errorf("%s: got %+v", service, r)
		}
		ids[r.ID] = true
		if at.After(slowest) {
			slowest = at
		}
	}
	google, err := s.FCM.Wait(ctx, 2)
	systemtest.Must(t, err)
	if r := systemtest.DecodePush(t, google[1].Payload); r.From != "Planted Sender" || r.Subject != "planted-subject" {
		t.Errorf("fcm, encrypted: got %+v", r)
	} else {
		note("fcm", r, google[1].At)
	}
	apple, err := s.APNs.Wait(ctx, 2)
	systemtest.Must(t, err)
	if r := systemtest.DecodePush(t, apple[1].Payload); r.From != "" || r.Subject != "" || apple[1].Title != "New mail" || apple[1].CollapseID != r.ID {
		t.Errorf("apns, wake: got %+v with title %q", r, apple[1].Title)
	} else {
		note("apns", r, apple[1].At)
	}
	browsers, err := s.Web.Wait(ctx, 4)
	systemtest.Must(t, err)
	for _, m := range browsers[2:] {
		note("web push", systemtest.DecodeWebPush(t, m), m.At)
	}
	if len(ids) != 1 {
		t.Errorf("one mail rang with the ids %v", ids)
	}
	// Dovecot itself tells of new mail up to half a second late.
	t.Logf("the last phone rang %v after dovecot-lda began", slowest.Sub(began).Round(time.Millisecond))

	var fetched struct{ From, Subject, Preview string }
	for id := range ids {
		systemtest.Must(t, s.Client.Get(ctx, "/notifications/"+id, &fetched))
	}
	if fetched.From != "Planted Sender" || fetched.Subject != "planted-subject" {
		t.Errorf("a woken app gets %+v", fetched)
	}
	previews(t, s)
	s.Stop(t)
	s.CheckNoSecrets(t)
}

// previews asks for each device's preview, which sends nothing and tells no secret.
func previews(t *testing.T, s *systemtest.System) {
	t.Helper()
	ctx := testenv.Context(t)
	before := s.FCM.Requests() + s.APNs.Requests() + s.Web.Requests()
	var devices struct{ Items []struct{ ID, Name string } }
	systemtest.Must(t, s.Client.Get(ctx, "/devices", &devices))
	for _, d := range devices.Items {
		var p struct{ URL, Body, Plaintext string }
		systemtest.Must(t, s.Client.Get(ctx, "/devices/"+d.ID+"/preview?content=subject", &p))
		if told := p.Body + p.Plaintext; !strings.Contains(told, "Dinner on Sunday?") || !strings.Contains(p.URL+p.Body, "HIDDEN") {
			t.Errorf("%s: the preview is %+v", d.Name, p)
		}
		// It is encrypted for all of them but the iPhone, which gave no key.
		if clear := strings.Contains(p.Body, "Dinner"); clear != (d.Name == "iphone") {
			t.Errorf("%s: that the service reads the subject is %v", d.Name, clear)
		}
	}
	if sent := s.FCM.Requests() + s.APNs.Requests() + s.Web.Requests() - before; sent > 0 || len(devices.Items) != 4 {
		t.Errorf("%d previews sent %d pushes", len(devices.Items), sent)
	}
}

func TestASecondDaemonOnTheSameDataIsTurnedAway(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	out, err := s.Command(t, "IDLEPUSH_LISTEN=127.0.0.1:0").CombinedOutput()
	if err == nil {
		t.Error("it ended as if all were well")
	}
	if want := filepath.Join(s.Data, "idlepush.db"); !strings.Contains(string(out), want) || !strings.Contains(string(out), "in use by another process") {
		t.Errorf("it says %q", out)
	}
	s.Stop(t)
}
