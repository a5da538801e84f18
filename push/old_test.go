package push

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestOldMail(t *testing.T) {
	t.Parallel()
	t.Run("up to five old mails of one look ring one by one, more as one summary", oldMailNumbers)
	t.Run("what old mail rings like is decided when the look has ended", oldMailLookEnds)
	t.Run("a store that fails delays the decision and loses nothing", oldMailStoreFails)
	t.Run("an import one by one rings once at once, and once when it has ended or takes an hour", oldMailDrips)
	t.Run("old mail that comes a minute after the last rings one by one", oldMailLater)
	t.Run("a decision that fails holds up no other folder", oldMailOneFails)
	t.Run("a summary of old mail names the folder to those who may see the sender", oldMailLevels)
	t.Run("new mail rings beside a summary of old mail", oldMailBesideNew)
}

// oldMail records n old mails of Family, as one step of a look.
func (h *harness) oldMail(n int, more bool) { h.oldMailIn("Family", n, more) }

func (h *harness) oldMailIn(folder string, n int, more bool) {
	h.Helper()
	from, err := h.store.Mail.Cursor(h.account.ID, folder)
	if err != nil {
		h.Fatal(err)
	}
	a := registry.Arrival{Account: h.account.ID, Folder: folder, From: from, To: registry.Cursor{UIDValidity: 1, Next: max(from.Next, 1)}, More: more, At: h.clock.Now()}
	for range n {
		a.Mails = append(a.Mails, registry.Message{UID: a.To.Next, Old: true, Content: idlepush.Content{Subject: "planted subject"}})
		a.To.Next++
	}
	if _, err := h.store.Mail.Record(a); err != nil {
		h.Fatal(err)
	}
}

func oldMailNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		old  int
		want []string
	}{
		{0, nil},
		{1, []string{"0s mail"}},
		{5, slices.Repeat([]string{"0s mail"}, 5)},
		{6, []string{"0s summary of 6"}},
		{37, []string{"0s summary of 37"}},
	} {
		t.Run(fmt.Sprint(c.old), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				h.limit = 5
				phone, page := h.phone("phone"), h.browser("page", origin)
				h.run()
				begin := time.Now()
				h.oldMail(c.old, false)
				after(10 * time.Minute)
				for _, d := range []idlepush.Device{phone, page} {
					if got := h.rung(d, begin); !slices.Equal(got, c.want) {
						t.Errorf("%s rang %q, want %q", d.Name, got, c.want)
					}
				}
			})
		})
	}
}

func oldMailLookEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.run()
		begin := time.Now()
		for range 3 {
			h.oldMail(4, true)
			after(2 * time.Minute)
		}
		if n := len(h.sends()); n > 0 {
			t.Errorf("%d sends while the look goes on", n)
		}
		h.oldMail(0, false)
		after(time.Second)
		if got := h.rung(phone, begin); !slices.Equal(got, []string{"6m0s summary of 12"}) {
			t.Errorf("it rang %q", got)
		}
	})
}

func oldMailStoreFails(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"OldMail", "RingOld", "SumUpOld"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				phone := h.phone("phone")
				var failing atomic.Bool
				failing.Store(true)
				h.fails = func(int64) bool { return failing.Load() && within("Outbox."+method) }
				h.run()
				h.oldMail(map[string]int{"OldMail": 3, "RingOld": 3, "SumUpOld": 7}[method], false)
				h.mail(1)
				after(10 * time.Minute)
				if n := len(h.sends()); n != 1 {
					t.Errorf("%d sends while the store fails, want the new mail", n)
				}
				if n := h.errors(); n < 1 || n > 30 {
					t.Errorf("%d errors in the log after 10 minutes", n)
				}
				failing.Store(false)
				after(2 * maxIdle)
				if n := len(h.rung(phone, time.Now())); n != 1+map[string]int{"OldMail": 3, "RingOld": 3, "SumUpOld": 1}[method] {
					t.Errorf("it rang %d times", n)
				}
			})
		})
	}
}

func oldMailDrips(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mails int
		every time.Duration
		want  []string
	}{
		{100, 300 * time.Millisecond, []string{"0s mail", "1m29.7s summary of 99"}},
		{60, 2 * time.Minute, []string{"0s mail", "3m0s mail", "5m0s mail", "7m0s mail", "9m0s mail", "1h9m0s summary of 30", "2h9m0s summary of 25"}},
		{240, 30 * time.Second, []string{"0s mail", "1h0m0s summary of 120", "2h0m30s summary of 119"}},
	} {
		t.Run(fmt.Sprint(c.every), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				phone := h.phone("phone")
				h.run()
				begin := time.Now()
				for range c.mails {
					h.oldMail(1, false)
					after(c.every)
				}
				after(10 * time.Minute)
				if got := h.rung(phone, begin); !slices.Equal(got, c.want) {
					t.Errorf("it rang %q, want %q", got, c.want)
				}
			})
		})
	}
}

func oldMailLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.run()
		begin := time.Now()
		for range 2 {
			h.oldMail(2, false)
			after(10 * time.Minute)
		}
		if got := h.rung(phone, begin); !slices.Equal(got, []string{"0s mail", "0s mail", "11m0s mail", "11m0s mail"}) {
			t.Errorf("it rang %q", got)
		}
	})
}

func oldMailOneFails(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{"RingOld": "0s summary of 7", "SumUpOld": "0s mail"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				phone := h.phone("phone")
				h.fails = func(int64) bool { return within("Outbox." + method) }
				h.oldMail(7, false)
				h.oldMailIn("Work", 1, false)
				begin := time.Now()
				h.run()
				after(10 * time.Minute)
				if got := h.rung(phone, begin); !slices.Equal(got, []string{want}) {
					t.Errorf("it rang %q, want %q", got, want)
				}
			})
		})
	}
}

func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		decided, found time.Duration // ago
		goesOn         bool
	}{
		{30 * time.Minute, 0, true},
		{30 * time.Minute, importEnds - 1, true},
		{30 * time.Minute, importEnds, false},
		{maxImport - 1, 0, true},
		{maxImport, 0, false},
		{-time.Second, 0, false},
		{0, -time.Second, false},
	} {
		m := registry.OldMail{Count: 1, Decided: now.Add(-c.decided), Found: now.Add(-c.found)}
		if got := importGoesOn(m, now); got != c.goesOn {
			t.Errorf("decided %v ago and found %v ago: %v", c.decided, c.found, got)
		}
	}
	for earlier, want := range map[int]bool{maxOldAlone - 1: false, maxOldAlone: true} {
		for decided, lately := range map[time.Duration]bool{maxImport - 1: true, maxImport: false} {
			m := registry.OldMail{Count: 1, Earlier: earlier, Decided: now.Add(-decided), Found: now.Add(-importEnds)}
			if got := importGoesOn(m, now); got != (want && lately) {
				t.Errorf("%d were decided on until %v ago: %v", earlier, decided, got)
			}
		}
	}
	if importGoesOn(registry.OldMail{Count: 1, Found: now}, now) {
		t.Error("it waits although nothing was decided before")
	}
}

func oldMailLevels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		discreet := h.register(idlepush.Device{Name: "discreet", Transport: "fcm", Address: "planted token", Content: idlepush.LevelWake})
		h.phone("phone")
		h.run()
		h.oldMail(7, false)
		after(time.Second)
		for _, p := range h.sends() {
			want := "7 older mails in Family"
			if p.device.ID == discreet.ID {
				want = newMail
			}
			if p.message.Title != want || strings.Contains(string(p.message.Payload), "Family") != (want != newMail) {
				t.Errorf("%s got %s", p.device.Name, p.message.Payload)
			}
		}
	})
}

func oldMailBesideNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.limit = 2
		phone := h.phone("phone")
		h.run()
		begin := time.Now()
		h.oldMail(37, false)
		after(time.Second)
		h.mail(4)
		after(10 * time.Minute)
		if got := h.rung(phone, begin); !slices.Equal(got, []string{"0s summary of 37", "1s mail", "1m0s summary of 3"}) {
			t.Errorf("it rang %q", got)
		}
	})
}
