package push

import (
	"os"
	"strings"
	"testing"
	"time"

	"idlepush/registry"
)

// TestTheNumbersInTheDocuments holds what they promise of this package to literals.
func TestTheNumbersInTheDocuments(t *testing.T) {
	for _, c := range []struct {
		file, words string
		got, want   any
	}{
		{"../README.md", "`burst-limit` times within a minute", burstWindow, 60 * time.Second},
		{"../README.md", "mails per minute, device and account", burstOf(registry.MailKind, registry.FCM, 5), burst{5, 60 * time.Second}},
		{"../README.md", "an iPhone is told of three at once, and then hourly", background, burst{3, 60 * time.Minute}},
		{"../docs/apps.md", "ids to take away, of mail that was read or removed elsewhere, up to 50", mostClear, 50},
		{"../docs/apps.md", "remember the ids of the last three days", registry.MailKind.Lifetime(), 72 * time.Hour},
	} {
		text, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), c.words) {
			t.Errorf("%s does not say %q any more", c.file, c.words)
		}
		if c.got != c.want {
			t.Errorf("%s says %q, and it is %v, not %v", c.file, c.words, c.got, c.want)
		}
	}
}

// TestTheNumbersOfTheDispatcher holds what its comments and other tests count on.
func TestTheNumbersOfTheDispatcher(t *testing.T) {
	for name, c := range map[string]struct{ got, want any }{
		"sends at once":                        {Concurrency, 160},
		"sends at once in a lane":              {laneConcurrency, 32},
		"one send":                             {sendLimit, 30 * time.Second},
		"a proving push":                       {proveLimit, 10 * time.Second},
		"between two looks":                    {longestIdle, time.Minute},
		"after the store failed":               {storeRetry, time.Second},
		"the first retry":                      {retryFirst, 2 * time.Second},
		"the longest retry":                    {retryMost, time.Minute},
		"the first retry of a suspect":         {suspectFirst, time.Minute},
		"the longest retry of a suspect":       {suspectMost, 12 * time.Hour},
		"the first pause of an outage":         {probeFirst, 5 * time.Second},
		"the longest pause of an outage":       {probeMost, time.Minute},
		"the pause of what a person mends":     {repair, 15 * time.Minute},
		"failures in a row that are an outage": {breakAfter, 5},
		"how long a device counts as alone":    {aloneFor, 24 * time.Hour},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	if drainLimit >= 10*time.Second {
		t.Errorf("Run promises to end within 10 s, and drains for %v", drainLimit)
	}
}
