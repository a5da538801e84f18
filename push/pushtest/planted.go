package pushtest

import (
	"strings"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/ring"
)

// EveryLevel holds every content level, lowest first.
var EveryLevel = []idlepush.Level{idlepush.LevelWake, idlepush.LevelSender, idlepush.LevelSubject, idlepush.LevelPreview}

// EveryKind holds every kind of notification.
var EveryKind = []idlepush.Kind{idlepush.KindMail, idlepush.KindSummary, idlepush.KindClear,
	idlepush.KindAttention, idlepush.KindTest, ring.KindHeartbeat}

// Sentences has the code of Saying.
var Sentences = codes.Join([]codes.Entry{{Code: "imap_password", Text: "{text}"}})

// Saying returns the reason of an attention that says the text.
func Saying(text string) idlepush.Reason {
	return idlepush.Reason{Code: "imap_password"}.With("text", text)
}

// Planted returns a notification of the kind in which no two texts are equal.
func Planted(kind idlepush.Kind) idlepush.Notification {
	at := time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	n := idlepush.Notification{ID: registry.StableID("family", "INBOX", 1, 1), Kind: kind,
		Account: "family", At: at, Expires: at.Add(kind.Lifetime())}
	switch kind {
	case idlepush.KindMail:
		n.Folder = "Planted/Folder"
		n.Content = idlepush.Content{From: "Planted From", Subject: "Planted <Subject> & \"more\"", Preview: "Planted preview, first words"}
	case idlepush.KindSummary:
		n.Count = 12
	case idlepush.KindClear:
		n.Clear = []string{registry.StableID("family", "INBOX", 1, 2), registry.StableID("family", "INBOX", 1, 3)}
	case ring.KindHeartbeat:
		n.Reason = Saying("Mail of the last day: 12.")
	case idlepush.KindAttention:
		n.Reason = Saying("ann@example.org: the server refuses the password. Enter it again.")
	}
	return n
}

// plantedReceipt is as long as a token is.
var plantedReceipt = idlepush.Secret(strings.Repeat("planted-receipt-", 7)[:104])

// Work returns a planted notification for the device, with everything that may be sent with it.
func Work(kind idlepush.Kind, d idlepush.Device) registry.Work {
	w := registry.Work{Notification: Planted(kind), Device: d, Receipt: plantedReceipt}
	if kind != idlepush.KindTest {
		w.Account.Email, w.Unread = "planted@example.org", new(7)
	}
	if kind == idlepush.KindMail || kind == idlepush.KindSummary || kind == idlepush.KindAttention {
		w.Clear = []string{registry.StableID("family", "INBOX", 1, 4), registry.StableID("family", "INBOX", 1, 5)}
	}
	return w
}

// Works returns what Work does for every kind, by its name, and mail and summaries of which more is
// wished.
func Works(d idlepush.Device) map[string]registry.Work {
	works := make(map[string]registry.Work)
	for _, kind := range EveryKind {
		works[string(kind)] = Work(kind, d)
	}
	wish := func(kind idlepush.Kind, decision ring.Decision) registry.Work {
		w := Work(kind, d)
		w.Decision, w.Several = decision, true
		w.Wishes = ring.Wishes{Name: "Planted Name", Color: "#0a64c8", Sound: "planted.caf"}
		return w
	}
	works["mail-loud"] = wish(idlepush.KindMail, ring.Decision{Verdict: ring.Now, Loud: true})
	works["mail-silent"] = wish(idlepush.KindMail, ring.Decision{Verdict: ring.Silent})
	works["summary-silent"] = wish(idlepush.KindSummary, ring.Decision{Verdict: ring.Silent})
	return works
}

// Hostile returns texts, by name, that become larger when they are encoded, or that are hard for
// JSON or for a parser of it.
func Hostile() map[string]string {
	return map[string]string{
		"4-byte runes":       strings.Repeat("𝄞", 400),
		"quotes":             strings.Repeat(`"`, 400),
		"backslashes":        strings.Repeat(`\`, 400),
		"control characters": strings.Repeat("\x00\x1f", 200),
		"line separators":    strings.Repeat("\u2028\u2029", 200),
		"markup":             strings.Repeat("</script>&", 40),
		"not UTF-8":          strings.Repeat("\xff\xc3", 200),
		"combining":          "e" + strings.Repeat("\u0301", 1000),
		"100 KB":             strings.Repeat("long ", 20_000),
		"100 KB of escapes":  strings.Repeat("\x01", 100_000),
		"one rune":           "é",
		"nothing":            "",
	}
}
