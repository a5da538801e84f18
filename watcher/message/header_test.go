package message

import (
	"strings"
	"testing"
	"time"
)

func TestFingerprint(t *testing.T) {
	t.Parallel()
	t.Run("the same message has the same fingerprint", sameFingerprint)
	t.Run("different messages have different fingerprints", differentFingerprints)
}

var taken = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func fingerprint(header string) string { return Fingerprint([]byte(header), 1000, taken) }

func sameFingerprint(t *testing.T) {
	t.Parallel()
	want := fingerprint("Message-ID: <1@example.com>\r\nSubject: tea\r\n\r\n")
	if len(want) != 16 || strings.Trim(want, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("%q is not 16 base64url characters", want)
	}
	for _, header := range []string{
		"message-id:<1@example.com>\nSubject: tea\n",
		"Subject: [list] tea\r\nMessage-Id:\r\n <1@example.com> \r\n\r\n",
		"MESSAGE-ID: 1@example.com",
	} {
		if got := fingerprint(header); got != want {
			t.Errorf("%q: %s, not %s", header, got, want)
		}
	}
	if a, b := fingerprint("From: bob\r\nDate: now\r\n\r\n"), fingerprint("Date: now\nX-Other: x\nFrom: bob\n\n"); a != b || a == "" {
		t.Errorf("without Message-ID, line ends make %q of %q", b, a)
	}
}

func differentFingerprints(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, header := range []string{
		"Message-ID: <1@example.com>\n\n",
		"Message-ID: <2@example.com>\n\n",
		"From: bob\nDate: now\n\n",
		"From: bob\nDate: later\n\n",

		"Message-ID: <1@example.com>\nDate: later\n\n",
		"Subject: bob\nDate: later\n\n",
	} {
		got := fingerprint(header)
		if other, ok := seen[got]; ok || got == "" {
			t.Errorf("%q and %q: %q", header, other, got)
		}
		seen[got] = header
	}
	if a, b := Fingerprint([]byte("From: bob\nDate: now\n\n"), 1, taken), Fingerprint([]byte("From: bob\nDate: now\n\n"), 2, taken); a == b {
		t.Error("two sizes are one mail")
	}
	motion := []byte("From: camera\nSubject: Motion detected\n\n")
	if a, b, c := Fingerprint(motion, 1, taken), Fingerprint(motion, 1, taken.Add(time.Minute)), Fingerprint(motion, 1, time.Time{}); a == b || a == "" || c != "" {
		t.Errorf("mails without a Date are %q, %q, %q", a, b, c)
	}
	for _, nothing := range []string{"", "\r\n", "\n \n", "1@example.com", "X-Other: x\n\n"} {
		if got := fingerprint(nothing); got != "" {
			t.Errorf("%q is known as %q", nothing, got)
		}
	}
}

// The Message-ID is taken as it is or not at all.
func TestMessageID(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"<a.b+c@example.org>":                   "a.b+c@example.org",
		"  <a@example.org>  ":                   "a@example.org",
		"\r\n <folded@example.org>":             "folded@example.org",
		"bare@example.org":                      "bare@example.org",
		"<two@example.org> <three@example.org>": "",
		"<with space@example.org>":              "",
		"<ümlaut@example.org>":                  "",
		"<\x01@example.org>":                    "",
		"<" + strings.Repeat("x", 251) + ">":    "",
		"<" + strings.Repeat("x", 250) + ">":    strings.Repeat("x", 250),
		"":                                      "",
	} {
		if got := Describe([]byte("Message-ID: "+value+"\r\n\r\n"), nil).MessageID; got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestDate(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Time{
		"Mon, 02 Nov 2026 10:00:00 +0100": want, "2 Nov 2026 09:00:00 GMT": want, "Mon, 2 Nov 2026 10:00:00\r\n +0100 (CET)": want,
		"Thu, 01 Jan 1970 00:00:00 +0000": time.Unix(0, 0),
		"":                                {}, "yesterday": {}, "2026-11-02T10:00:00Z": {}, "Mon, 32 Nov 2026 10:00:00 +0100": {},
	} {
		if got := Describe([]byte("Date: "+value+"\r\n\r\n"), nil).Date; !got.Equal(want) {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
}
