package watcher

import (
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest/servers"
	"idlepush/watcher/wire"
)

// BenchmarkNotify measures how long Dovecot takes to report a new mail of the open folder, and
// flags of it that change, by what NOTIFY asks for. It takes two seconds a round: ask for few
// (-benchtime 12x).
func BenchmarkNotify(b *testing.B) {
	const other = ` (mailboxes ("Work") (MessageNew MessageExpunge FlagChange))`
	for _, c := range []struct{ name, notify string }{
		{"IDLE", ""},
		{"selected", "(selected (MessageNew MessageExpunge FlagChange))" + other},
		{"selected-delayed", "(selected-delayed (MessageNew MessageExpunge FlagChange))" + other},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := servers.Dovecot(b)
			s.CreateFolder(b, s.User, "Work")
			account := accountAt(s.Endpoint, idlepush.SecurityTLS)
			conn, err := dialerTo(s.Endpoint).login(b.Context(), &account)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			if err := conn.Do("EXAMINE INBOX", time.Minute); err != nil {
				b.Fatal(err)
			}
			if c.notify != "" {
				if err := conn.Do("NOTIFY SET "+c.notify, time.Minute); err != nil {
					b.Fatal(err)
				}
			}
			reported := func(change func()) time.Duration {
				conn.Forget()
				var idling sync.WaitGroup
				idling.Go(func() {
					if _, err := conn.Idle(20*time.Second, time.Minute, wire.IdleOptions{Flags: time.Millisecond}); err != nil {
						b.Error(err)
					}
				})
				time.Sleep(200 * time.Millisecond) // IDLE has begun
				change()
				began := time.Now()
				idling.Wait()
				return time.Since(began)
			}
			var mail, flags time.Duration
			for b.Loop() {
				mail += reported(func() { s.Deliver(b, s.User, "INBOX", []byte("Subject: x\r\n\r\nx\r\n")) })
				flags += reported(func() { s.Doveadm(b, s.User, "flags", "add", `\Seen`, "mailbox", "INBOX", "unseen") })
			}
			b.ReportMetric(float64(mail.Milliseconds())/float64(b.N), "ms/mail")
			b.ReportMetric(float64(flags.Milliseconds())/float64(b.N), "ms/flags")
		})
	}
}
