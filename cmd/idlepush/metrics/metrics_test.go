package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"idlepush/promise"
	"idlepush/registry/registrytest"
	"idlepush/watcher"
)

// TestStoreThatFails asks for the metrics of a store that cannot be read.
func TestStoreThatFails(t *testing.T) {
	t.Parallel()
	dir, _, _ := registrytest.DirWithUsers(t)
	store := registrytest.Open(t, dir)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	log, lines := registrytest.NewLog(t)
	m := New("v1")
	m.Collect(store, &watcher.Pool{}, Machine{Room: func() (uint64, bool) { return 0, false }, Looked: func() time.Duration { return 0 }, Broken: func(time.Time) []promise.Broken { return nil }})
	answer := httptest.NewRecorder()
	m.Handler(log).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if body := answer.Body.String(); answer.Code != 200 || !strings.Contains(body, "\nidlepush_store_ready 0\n") {
		t.Errorf("%d %s", answer.Code, body)
	}
	if lines.String() == "" {
		t.Error("the log does not say why")
	}
}
