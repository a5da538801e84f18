package push

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"idlepush"
	"idlepush/codes"
	"idlepush/push/pushtest"
	"idlepush/registry"
	"idlepush/ring"
)

func TestRenderWishes(t *testing.T) {
	t.Run("a rule lowers the level of a mail, and raises none", renderLowered)
	t.Run("a mailbox has its name where there are several, its color and its sound", renderMailbox)
}

// A rule may lower the level of a mail, and never raises it.
func renderLowered(t *testing.T) {
	for _, of := range append([]idlepush.Level{"", "everything"}, pushtest.EveryLevel...) {
		for _, most := range append([]idlepush.Level{"", "everything"}, pushtest.EveryLevel...) {
			w := pushtest.Work(idlepush.KindMail, at(of))
			w.Account.Link, w.Decision = "https://mail.example.org/{subject}", ring.Decision{Content: string(most)}
			got := Render(w, "https://push.example.org/", pushtest.Sentences)
			least := of
			if slices.Index(pushtest.EveryLevel, most) >= 0 && slices.Index(pushtest.EveryLevel, most) < slices.Index(pushtest.EveryLevel, of) {
				least = most
			}
			w.Device, w.Decision = at(least), ring.Decision{}
			if want := Render(w, "https://push.example.org/", pushtest.Sentences); !bytes.Equal(got.Payload, want.Payload) || got.Title != want.Title || got.URL != want.URL {
				t.Errorf("of level %q, at most %q: %s, want %s", of, most, got.Payload, want.Payload)
			}
		}
	}
}

// The name of the mailbox stands where the person sees several, and its sound is heard unless the
// message is silent.
func renderMailbox(t *testing.T) {
	wishes := ring.Wishes{Name: "Work", Sound: "bell", Color: "#0a64c8"}
	none := ring.Wishes{Sound: NoSound}
	for _, c := range []struct {
		name, work     string
		wishes         ring.Wishes
		several        bool
		verdict        ring.Verdict
		title, mailbox string
		sound          string
		payload        string // has this
	}{
		{"one mailbox", "mail", ring.Wishes{}, false, ring.Now, "Planted From", "", "", ""},
		{"one with a name", "mail", wishes, false, ring.Now, "Planted From", "", "bell", `"color":"#0a64c8","sound":"bell"`},
		{"several", "mail", ring.Wishes{}, true, ring.Now, "Planted From", "planted@example.org", "", `"mailbox":"planted@example.org"`},
		{"several with names", "mail", wishes, true, ring.Now, "Planted From", "Work", "bell", `"mailbox":"Work","color":"#0a64c8","sound":"bell"`},
		{"no sound", "mail", none, true, ring.Now, "Planted From", "planted@example.org", NoSound, `"sound":"none"`},
		{"silent", "mail", wishes, true, ring.Silent, "Planted From", "Work", NoSound, `"silent":true`},
		{"summary", "summary", ring.Wishes{}, true, ring.Now, "12 new in planted@example.org", "", "", `"mailbox":"planted@example.org"`},
		{"summary with a name", "summary", wishes, false, ring.Now, "12 new in Work", "", "bell", `"sound":"bell"`},
		{"summary that is silent", "summary", wishes, true, ring.Silent, "12 new in Work", "", NoSound, `"silent":true`},
		{"attention", "attention", none, true, ring.Now, "idlepush needs attention", "", "", ""},
		{"attention that is silent", "attention", wishes, true, ring.Silent, "idlepush needs attention", "", NoSound, `"silent":true`},
		{"test", "test", none, true, ring.Now, "idlepush", "", "", ""},
	} {
		w := pushtest.Works(at(idlepush.LevelSender))[c.work]
		w.Wishes, w.Several, w.Decision.Verdict = c.wishes, c.several, c.verdict
		m := Render(w, "", pushtest.Sentences)
		if m.Title != c.title || m.Mailbox != c.mailbox || m.Sound != c.sound || m.Silent != (c.verdict == ring.Silent) || !strings.Contains(string(m.Payload), c.payload) {
			t.Errorf("%s: %q, %q, sound %q, %s", c.name, m.Title, m.Mailbox, m.Sound, m.Payload)
		}
		if c.payload == "" && strings.Contains(string(m.Payload), `"mailbox"`) {
			t.Errorf("%s: %s", c.name, m.Payload)
		}
	}
	wake := pushtest.Work(idlepush.KindMail, at(idlepush.LevelWake))
	wake.Wishes = none
	if m := Render(wake, "", pushtest.Sentences); m.Sound != NoSound || strings.Contains(string(m.Payload), "sound") {
		t.Errorf("at wake: sound %q, %s", m.Sound, m.Payload)
	}
	old := pushtest.Work(idlepush.KindSummary, at(idlepush.LevelSender))
	old.Wishes, old.Several, old.Notification.Code, old.Notification.Folder = wishes, true, registry.CodeOld, "Family"
	if m := Render(old, "", codes.Join(registry.Codes)); m.Title != "12 older mails in Family" || m.Mailbox != "Work" {
		t.Errorf("%q, %q", m.Title, m.Mailbox)
	}
}
