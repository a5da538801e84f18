package main

import (
	"bufio"
	"io"
	"net/http"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

func TestAnOpenPageKeepsTheDaemonNotFromEnding(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.SetUp(t)
	r, err := http.NewRequestWithContext(testenv.Context(t), http.MethodGet, s.Client.Base+"/events", nil)
	systemtest.Must(t, err)
	r.Header.Set("Authorization", "Bearer "+s.Client.Token)
	stream, err := http.DefaultClient.Do(r)
	systemtest.Must(t, err)
	defer stream.Body.Close()
	lines := bufio.NewReader(stream.Body)
	if _, err := lines.ReadString('\n'); stream.StatusCode != http.StatusOK || err != nil {
		t.Fatalf("no stream: %s, %v", stream.Status, err)
	}
	s.Stop(t)
	// A stream that the daemon had waited for in vain would have been cut off.
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Errorf("the stream was not ended by the daemon itself: %v", err)
	}
}
