package apns

import (
	"strings"
	"testing"
	"testing/synctest"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

// A phone lights up for what rings, and only the app's extension knows a mailbox whose content is
// encrypted.
func TestVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		receiver, err := pushtest.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		keys := receiver.Keys()
		for _, c := range []struct {
			name     string
			change   func(m *push.Message)
			keyed    bool
			priority string
			has, not []string
		}{
			{"mail", func(*push.Message) {}, false, "10", []string{`"sound":"default"`, `"interruption-level":"active"`}, []string{"subtitle"}},
			{"silent", func(m *push.Message) { m.Silent, m.Sound = true, push.NoSound }, false, "5", []string{`"alert"`, `"interruption-level":"passive"`}, []string{`"sound"`}},
			{"silent, encrypted", func(m *push.Message) { m.Silent, m.Sound = true, push.NoSound }, true, "5", []string{`"alert"`, `"interruption-level":"passive"`}, []string{`"sound"`}},
			{"loud", func(m *push.Message) { m.Loud = true }, false, "10", []string{`"sound":"default"`, `"interruption-level":"time-sensitive"`}, nil},
			{"loud, encrypted", func(m *push.Message) { m.Loud = true }, true, "10", []string{`"sound":"default"`, `"interruption-level":"time-sensitive"`}, nil},
			{"a mailbox", func(m *push.Message) { m.Mailbox, m.Sound = "Work", "bell.caf" }, false, "10", []string{`"subtitle":"Work"`, `"sound":"bell.caf"`}, nil},
			{"a mailbox, encrypted", func(m *push.Message) { m.Mailbox, m.Sound = "Work", "bell.caf" }, true, "10", []string{`"sound":"default"`}, []string{"Work", "bell"}},
			{"no sound", func(m *push.Message) { m.Sound = push.NoSound }, false, "10", []string{`"interruption-level":"active"`}, []string{`"sound"`}},
			{"no sound, encrypted", func(m *push.Message) { m.Sound = push.NoSound }, true, "10", []string{`"interruption-level":"active"`}, []string{`"sound"`}},
			{"a clear", func(m *push.Message) {
				m.Kind, m.Title, m.Body, m.Neutral, m.Loud = idlepush.KindClear, "", "", "", true
			}, false, "5", []string{`"content-available":1`},
				[]string{`"sound"`, "interruption", "alert"}},
		} {
			d, m := device(apns.Register(nil)), message()
			if c.keyed {
				d = device(apns.Register(receiver))
				d.Keys = &keys
			}
			c.change(&m)
			expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: delivered})
			all := apns.Messages()
			got := all[len(all)-1]
			text := string(got.Raw)
			if got.Priority != c.priority {
				t.Errorf("%s: priority %s", c.name, got.Priority)
			}
			for _, part := range c.has {
				if !strings.Contains(text, part) {
					t.Errorf("%s: it lacks %s: %s", c.name, part, text)
				}
			}
			for _, part := range c.not {
				if strings.Contains(text, part) {
					t.Errorf("%s: it has %s: %s", c.name, part, text)
				}
			}
		}
	})
}
