package watcher

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/imaptest"
)

func TestAsk(t *testing.T) {
	t.Parallel()
	t.Run("AskNow finds mail that was not announced, at once", askFindsMail)
	t.Run("AskNow ends the wait for the next try", askEndsBackoff)
}

func askFindsMail(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]*imaptest.Script{"in IDLE": {Mute: true}, "polled": {Caps: "IMAP4rev1"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, pool, _, stop := pooled(t, script)
				defer stop()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				for _, words := range []string{"first", "second"} {
					script.Deliver(imaptest.Message{Header: subject(words), Date: time.Now()})
					time.Sleep(time.Second)
					pool.AskNow()
					synctest.Wait()
					if got := h.mails(t); len(got) == 0 || got[len(got)-1].Content.Subject != words {
						t.Errorf("%q were notified, not the %s", subjects(got), words)
					}
				}
			})
		})
	}
}

func askEndsBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{}
		h, pool, s, stop := pooled(t, script)
		defer stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		s.down = true
		script.Renumber() // ends the connection
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		s.down = false
		script.Deliver(imaptest.Message{Header: subject("meanwhile"), Date: time.Now()})
		pool.AskNow()
		time.Sleep(maxConnectPace)
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"meanwhile"}) {
			t.Errorf("%q were notified", got)
		}
	})
}
