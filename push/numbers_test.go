package push

import (
	"os"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestNumbers(t *testing.T) {
	t.Run("those in the docs are those of the program", numbersDocs)
	t.Run("those of the dispatcher are those that comments and tests rely on", numbersDispatcher)
}

// The numbers of this package in the docs are compared with literals.
func numbersDocs(t *testing.T) {
	for _, c := range []struct {
		file, words string
		got, want   any
	}{
		{"../docs/behaviour.md", "`burst-limit` times within a minute", burstWindow, 60 * time.Second},
		{"../docs/settings.md", "mails per minute, device and account", (&Dispatcher{BurstLimit: 5}).limit(registry.Work{Notification: idlepush.Notification{Kind: idlepush.KindMail}}), Limit{5, 60 * time.Second}},
		{"../docs/behaviour.md", "one of more than 5 old mails that were found together", maxOldAlone, 5},
		{"../docs/behaviour.md", "Beyond that, one summary counts them: \"140 more in ann@example.org\"", moreText(140, "ann@example.org"), "140 more in ann@example.org"},
		{"../docs/behaviour.md", "under the same id and at most once an hour", excessPause, time.Hour},
		{"../docs/behaviour.md", "If more old mail comes to the folder within an hour, it waits until none has come for a minute", [2]time.Duration{maxImport, importEnds}, [2]time.Duration{time.Hour, time.Minute}},
		{"../docs/behaviour.md", "Once that is 5, further old mail waits for the whole hour. So an import that puts one mail after the other, at whatever pace, rings no more than 5 times an hour.", [2]time.Duration{maxOldAlone, maxImport}, [2]time.Duration{5, time.Hour}},
		{"../docs/behaviour.md", "the next try comes within 2 s, doubling up to a minute", [2]time.Duration{minRetryWait, maxRetryWait}, [2]time.Duration{2 * time.Second, time.Minute}},
		{"../docs/behaviour.md", "the next try comes after a minute, doubling up to 15 minutes", [2]time.Duration{minFaultWait, maxFaultWait}, [2]time.Duration{time.Minute, 15 * time.Minute}},
		{"../docs/behaviour.md", "the lane pauses for 1 minute, then 5, then 15.", [3]time.Duration(faultPauses), [3]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}},
		{"../docs/behaviour.md", "failures of every person who has a proven device in the lane, or of 5 of them", breakAfter, 5},
		{"../docs/behaviour.md", "after 5 failures in a row, the lane pauses for up to 5 s, doubling up to a minute", breakAfter, 5},
		{"../docs/behaviour.md", "the lane pauses for up to 5 s, doubling up to a minute", [2]time.Duration{minProbeWait, maxProbeWait}, [2]time.Duration{5 * time.Second, time.Minute}},
		{"../docs/behaviour.md", "tried rarely, every 1 minute to 12 hours", [2]time.Duration{minSuspectWait, maxSuspectWait}, [2]time.Duration{time.Minute, 12 * time.Hour}},
		{"../docs/behaviour.md", "host says so at least three times and for a day", [2]any{absentTries, absentFor}, [2]any{3, 24 * time.Hour}},
		{"../docs/codes.md", "If it says so for a day, the device is removed", absentFor, 24 * time.Hour},
		{"../docs/apps.md", "ids to take away, of mail that was read or removed elsewhere, up to 50", maxClear, 50},
		{"../docs/architecture.md", "one proving push, beside the queue, for at most 10 s", proveTimeout, 10 * time.Second},
		{"../docs/architecture.md", "At most 160 are in flight over all devices, 64 in one lane, and 16 to slow devices.", [3]int{Concurrency, laneConcurrency, slowConcurrency}, [3]int{160, 64, 16}},
		{"../docs/architecture.md", "After that, up to seven that are accepted within 100 ms share one transaction", [2]any{maxInARow - 1, maxUnsettled}, [2]any{7, 100 * time.Millisecond}},
		{"../docs/architecture.md", "A device is slow from a send that failed after 10 s or more", slowTimeout, 10 * time.Second},
		{"../docs/architecture.md", "at most 8 at once for one user", maxProving, 8},
		{"../docs/behaviour.md", "At most 160 pushes are on their way at once, 64 of them in one lane.", [2]int{Concurrency, laneConcurrency}, [2]int{160, 64}},
		{"../docs/behaviour.md", "A push may take 30 s. If one has failed after 10 s or more, the device is slow: the next may take only 10 s, each fourth one 30 s, and all slow devices together have 16 places", [4]any{sendTimeout, slowTimeout, fullTimeEvery, slowConcurrency}, [4]any{30 * time.Second, 10 * time.Second, 4, 16}},
		{"../docs/behaviour.md", "If a push that tests a paused lane is not answered within 3 s, a device of another person tests it", probePatience, 3 * time.Second},
		{"../docs/behaviour.md", "one person can have 8 on their way at once", maxProving, 8},
		{"../docs/architecture.md", "after up to 8 deliveries to the device", maxInARow, 8},
		{"../docs/architecture.md", "each send takes at most 30 s, to a slow device 10 s, with 30 s for each fourth try; at shutdown it has 8 s", [3]time.Duration{sendTimeout, slowTimeout, drainTimeout}, [3]time.Duration{30 * time.Second, 10 * time.Second, 8 * time.Second}},
		{"../docs/architecture.md", "everybody also looks once a minute", maxIdle, time.Minute},
		{"../docs/architecture.md", "how many mails may ring one by one in a minute", burstWindow, time.Minute},
		{"../docs/apps.md", "remember the ids of the last three days", idlepush.KindMail.Lifetime(), 72 * time.Hour},
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

// Comments and other tests rely on these numbers.
func numbersDispatcher(t *testing.T) {
	for name, c := range map[string]struct{ got, want any }{
		"sends at once":                        {Concurrency, 160},
		"sends at once in a lane":              {laneConcurrency, 64},
		"one send":                             {sendTimeout, 30 * time.Second},
		"a proving push":                       {proveTimeout, 10 * time.Second},
		"between two looks":                    {maxIdle, time.Minute},
		"after the store failed":               {storeRetry, time.Second},
		"the first retry":                      {minRetryWait, 2 * time.Second},
		"the longest retry":                    {maxRetryWait, time.Minute},
		"the first retry of a suspect":         {minSuspectWait, time.Minute},
		"the longest retry of a suspect":       {maxSuspectWait, 12 * time.Hour},
		"the first pause of an outage":         {minProbeWait, 5 * time.Second},
		"the longest pause of an outage":       {maxProbeWait, time.Minute},
		"the first wait after a fault of ours": {minFaultWait, time.Minute},
		"the longest wait after one":           {maxFaultWait, 15 * time.Minute},
		"failures in a row that are an outage": {breakAfter, 5},
		"how long a device counts as alone":    {aloneFor, 24 * time.Hour},
		"sends at once to slow devices":        {slowConcurrency, 16},
		"proving pushes at once of a user":     {maxProving, 8},
		"one send to a slow device":            {slowTimeout, 10 * time.Second},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	if drainTimeout >= 10*time.Second {
		t.Errorf("Run promises to end within 10 s, and drains for %v", drainTimeout)
	}
}
