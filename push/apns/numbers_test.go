package apns

import (
	"os"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/push"
)

// TestNumbers compares the numbers in the docs with those of this package.
func TestNumbers(t *testing.T) {
	const words = "An iPhone is sent three clears at once; after that, one per hour"
	text, err := os.ReadFile("../../docs/behaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), words) {
		t.Errorf("behaviour.md does not say %q any more", words)
	}
	got := new(Transport).Traits().Limits
	if len(got) != 1 || got[idlepush.KindClear] != (push.Limit{Pushes: 3, Window: 60 * time.Minute}) {
		t.Errorf("behaviour.md says %q, and it is %v", words, got)
	}
}

func TestTheNumbersInTheCodes(t *testing.T) {
	const words = "It is tried again in 20 minutes by itself"
	for _, e := range Codes {
		if e.Code == "apns_too_many_provider_token_updates" && !strings.Contains(e.Text, words) {
			t.Errorf("%s does not say %q any more", e.Code, words)
		}
	}
	if minRenewAge != 20*time.Minute {
		t.Errorf("codes.go says %q, and it is %v", words, minRenewAge)
	}
}
