package receipt

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestNumbersOfTheDocs(t *testing.T) {
	t.Parallel()
	for page, numbers := range map[string][]struct {
		words     string
		got, want any
	}{
		"behaviour.md": {
			{"left three pushes or more unanswered", unconfirmedPushes, 3},
			{"the first of them for 24 hours", unconfirmedFor, 24 * time.Hour},
		},
		"phones.md": {{"three notifications or more unanswered for 24 hours", unconfirmedPushes, 3}},
		"api.md":    {{"by `trips` the median of the last 7 days", medianOf, 7 * 24 * time.Hour}},
		"architecture.md": {
			{"has left pushes unanswered for a day", unconfirmedFor, 24 * time.Hour},
			{"how long the last 100 pushes took", MaxTrips, 100},
		},
	} {
		text, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range numbers {
			if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), n.words) {
				t.Errorf("docs/%s does not say %q any more", page, n.words)
			}
			if n.got != n.want {
				t.Errorf("%s: it is %v", n.words, n.got)
			}
		}
	}
}
