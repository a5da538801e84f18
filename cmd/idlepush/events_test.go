package main

import (
	"bufio"
	"net/http"
	"testing"
	"time"
)

func TestAnOpenPageKeepsTheDaemonNotFromEnding(t *testing.T) {
	s := newStreet(t)
	s.start(t)
	s.setUp(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.client.base+"/events", nil)
	s.must(t, err)
	r.Header.Set("Authorization", "Bearer "+s.client.token)
	stream, err := http.DefaultClient.Do(r)
	s.must(t, err)
	defer stream.Body.Close()
	if lines := bufio.NewScanner(stream.Body); stream.StatusCode != http.StatusOK || !lines.Scan() {
		t.Fatalf("no stream: %s", stream.Status)
	}
	began := time.Now()
	s.stop(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it ended after %v", took)
	}
}
