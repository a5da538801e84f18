package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
)

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{":8080": "127.0.0.1:8080", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80", "192.0.2.1:80": "192.0.2.1:80", "house.example.org:1": "house.example.org:1"} {
		if got := fromHere(listen); got != want {
			t.Errorf("%s is reached by %s, want %s", listen, got, want)
		}
	}
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the store is gone", http.StatusServiceUnavailable)
	}))
	defer broken.Close()
	if code, _, errs := command("healthcheck", "--listen", broken.Listener.Addr().String()); code != 1 || !strings.Contains(errs, "it does not work (503 Service Unavailable): the store is gone") {
		t.Errorf("where the store is gone: %d, %s", code, errs)
	}
	if code, _, errs := command("healthcheck", "--listen", "127.0.0.1:1"); code != 1 || !strings.Contains(errs, "idlepush does not answer") {
		t.Errorf("where nothing listens: %d, %s", code, errs)
	}
}

// A machine without a screen: somebody sets up by the link of the command, and watches the health.
func TestAHeadlessServerIsSetUpByTheCommand(t *testing.T) {
	t.Parallel()
	s := systemtest.New(t, itself(t))
	if out, err := keepCommand(t, s, "", "healthcheck"); err == nil || !strings.Contains(out, "idlepush does not answer") {
		t.Errorf("before the start: %v: %s", err, out)
	}
	if out, err := keepCommand(t, s, "", "setup-link"); err == nil || !strings.Contains(out, "start it, or name its folder with --data, and run this again") {
		t.Errorf("before the start: %v: %s", err, out)
	}
	s.Start(t)
	if out, err := keepCommand(t, s, "", "healthcheck"); err != nil || out != "idlepush works\n" {
		t.Errorf("%v: %s", err, out)
	}
	first := s.SetupToken(t)
	out, err := keepCommand(t, s, "", "setup-link")
	if err != nil || !strings.Contains(out, "\n  "+s.Origin+"/#/setup/"+s.SetupToken(t)+"\n") || s.SetupToken(t) == first {
		t.Errorf("%v: %s", err, out)
	}
	s.SetUp(t)
	if out, err := keepCommand(t, s, "", "setup-link"); err == nil || !strings.Contains(out, "somebody is set up already") {
		t.Errorf("after setup: %v: %s", err, out)
	}
	s.Stop(t)
}
