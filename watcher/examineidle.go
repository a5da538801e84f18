package watcher

import (
	"math"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/watcher/wire"
)

// toldLate is the difference between a mail's date and the time when the server tells of it from
// which on somebody should look: the server is slow, or one of the clocks is wrong.
const toldLate = time.Minute

// wait waits in IDLE for a mail that somebody sends, and tells whether the server says so.
func (x *examination) wait(conn *wire.Conn, wait time.Duration) {
	if !conn.Has(imap.CapIdle) {
		return
	}
	r := &reader{conn: conn, failures: new(failures)}
	before, err := x.count(conn, r)
	if err != nil {
		x.failed(err, 0)
		return
	}
	minutes := strconv.Itoa(int(math.Ceil(wait.Minutes())))
	x.found(idlepush.VerdictOK, "examined_waiting", 0, "minutes", minutes)
	began := time.Now()
	for until := began.Add(wait); time.Now().Before(until); {
		conn.Forget()
		if _, err = conn.Idle(time.Until(until), timeout, wire.IdleOptions{}); err != nil {
			x.failed(err, time.Since(began))
			return
		}
		if conn.Messages() > before {
			x.told(conn, time.Now(), time.Since(began))
			return
		}
		before = conn.Messages() // mail may have been removed
	}
	switch now, err := x.count(conn, r); {
	case err != nil:
		x.failed(err, time.Since(began))
	case now > before:
		x.found(idlepush.VerdictWrong, "examined_not_told", time.Since(began))
	default:
		x.found(idlepush.VerdictLook, "examined_no_mail", time.Since(began), "minutes", minutes)
	}
}

// count opens INBOX anew and returns how many messages it has.
func (x *examination) count(conn *wire.Conn, r *reader) (uint32, error) {
	err := r.open(&folder{name: "INBOX"})
	return conn.Messages(), err
}

// told tells how long after the date that the server gave to the new mail it has told of it.
func (x *examination) told(conn *wire.Conn, at time.Time, took time.Duration) {
	var mails []wire.Mail
	last, err := conn.LastUID(timeout)
	if err == nil && last > 0 {
		mails, err = conn.Fetch([]imap.UID{last}, "UID INTERNALDATE", timeout)
	}
	if err != nil || len(mails) == 0 || mails[0].Date.IsZero() {
		x.found(idlepush.VerdictOK, "examined_told", took)
		return
	}
	late := at.Sub(mails[0].Date) // which has whole seconds
	seconds := strconv.Itoa(int(late.Abs().Seconds()))
	switch {
	case late < -toldLate:
		x.found(idlepush.VerdictLook, "examined_told", took, codes.Case, datedAhead, "seconds", seconds)
	case late > toldLate:
		x.found(idlepush.VerdictLook, "examined_told", took, codes.Case, datedBefore, "seconds", seconds)
	default:
		x.found(idlepush.VerdictOK, "examined_told", took, codes.Case, dated, "seconds", seconds)
	}
}
