package wire

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/behaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	page, words := strings.Join(strings.Fields(string(text)), " "), "the system notices within 80 s (Linux)"
	if got := keepaliveIdle + keepaliveInterval; !strings.Contains(page, words) || got != 80*time.Second || unacknowledged > got {
		t.Errorf("%s: it is %v", words, got)
	}
}
