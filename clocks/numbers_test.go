package clocks

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestNumbersOfTheDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/behaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	for _, n := range []struct {
		words string
		got   time.Duration
	}{
		{"Within ten seconds of waking", every},
		{"when the clock is set by ten seconds or more", shortestJump},
	} {
		if !strings.Contains(page, n.words) {
			t.Errorf("docs/behaviour.md does not say %q any more", n.words)
		}
		if n.got != 10*time.Second {
			t.Errorf("%s: it is %v", n.words, n.got)
		}
	}
}
