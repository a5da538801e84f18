package watcher

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest/servers"
	"idlepush/watcher/wire"
)

func TestDovecot(t *testing.T) {
	t.Parallel()
	t.Run("new mail is notified with its content", dovecotNewMail)
	t.Run("nothing in the mailbox ever changes", dovecotUnchanged)
	t.Run("mail that arrives while the server or the connection is down is notified once", dovecotOutage)
	t.Run("mail since the last success is notified after the UIDVALIDITY changed, and none twice", dovecotUIDValidity)
	t.Run("nothing that was there before rings when the UIDVALIDITY changes soon", dovecotRenumberedSoon)
	t.Run("other folders are looked at in every tour", dovecotTour)
	t.Run("mail in any of twelve folders is notified over one connection", dovecotTwelveFolders)
	t.Run("mail that was read, removed or moved is cleared", dovecotReadElsewhere)
	t.Run("mail that was read in any of several folders is reported at once", dovecotFlagsReported)
	t.Run("a mailbox restored from a backup misses no mail", dovecotRestored)
}

func dovecotNewMail(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	for _, security := range []idlepush.Security{idlepush.SecurityTLS, idlepush.SecurityStartTLS, idlepush.SecurityPlain} {
		t.Run(string(security), func(t *testing.T) {
			s.Deliver(t, s.User, "INBOX", mail("Old <old@example.org>", "before", "there before"))
			h := newHarness(t, accountAt(s.Endpoint, security))
			pool, _ := h.watch(t, dialerTo(s.Endpoint))
			h.waitState(t, idlepush.StateWatching)
			s.Deliver(t, s.User, "INBOX", mail("Berta <b@example.org>", "hello", "How are you?"))
			got := h.waitMails(t, 1)
			if c := got[0].Content; len(got) != 1 || c != (idlepush.Content{From: "Berta", Subject: "hello", MessageID: "hello@example.org", Preview: "How are you?"}) {
				t.Fatalf("notified %d messages, the first as %+v", len(got), c)
			}
			testenv.Await(t, "the session is live", func() error {
				if l := pool.Live(h.account.ID); l.Connections != 1 || l.LastByte.IsZero() || l.LastMail.IsZero() || l.Interval == 0 || l.Why.Code == "" {
					return fmt.Errorf("%+v", l)
				}
				return nil
			})
		})
	}
}

func dovecotUnchanged(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "one", "1"))
	before := s.Flags(t, s.User, "INBOX")
	h := newHarness(t, accountAt(s.Endpoint, idlepush.SecurityTLS))
	_, stop := h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "two", "2"))
	h.waitMails(t, 1)
	stop()
	after := s.Flags(t, s.User, "INBOX")
	if len(after) != 2 || after[1] != before[1] {
		t.Errorf("flags were %v, are %v", before, after)
	}
	for uid, flags := range after {
		if strings.Contains(strings.ToLower(flags), "seen") || !strings.Contains(flags, "Recent") {
			t.Errorf("mail %d has the flags %q: want it unseen and still recent", uid, flags)
		}
	}
}

func dovecotOutage(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	h := newHarness(t, accountAt(s.Endpoint, idlepush.SecurityTLS))
	_, stop := h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)

	s.DropConnections(t, s.User)
	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "dropped", ""))
	h.waitMails(t, 1)

	s.Stop(t)
	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "server down", ""))
	s.Start(t)
	h.waitMails(t, 2)

	stop()
	for i := range 60 {
		s.Deliver(t, s.User, "INBOX", mail("a@example.org", fmt.Sprint("idlepush down ", i), ""))
	}
	h.watch(t, dialerTo(s.Endpoint))
	got := h.waitMails(t, 62)
	var subjects []string
	for _, n := range got {
		subjects = append(subjects, n.Content.Subject)
	}
	want := []string{"dropped", "server down"}
	for i := range 60 {
		want = append(want, fmt.Sprint("idlepush down ", i))
	}
	if !slices.Equal(subjects, want) {
		t.Errorf("notified %q", subjects)
	}
}

func dovecotRenumberedSoon(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	for n := range 30 {
		s.Deliver(t, s.User, "INBOX", mail("a@example.org", fmt.Sprint("there before ", n), ""))
	}
	s.Deliver(t, s.User, "INBOX", []byte("From: a@example.org\r\n\r\nNeither Message-ID nor Date\r\n"))
	h := newHarness(t, accountAt(s.Endpoint, idlepush.SecurityTLS))
	_, stop := h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	stop()
	s.ResetUIDValidity(t, s.User, "INBOX")
	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "new", ""))
	h.watch(t, dialerTo(s.Endpoint))
	h.waitMails(t, 1)
	h.waitState(t, idlepush.StateWatching)
	if got := subjects(h.all(t)); !slices.Equal(got, []string{"new"}) {
		t.Errorf("listed are %q", got)
	}
}

func dovecotUIDValidity(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "never notified", ""))
	h := newHarness(t, accountAt(s.Endpoint, idlepush.SecurityTLS))
	_, stop := h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "notified", ""))
	h.waitMails(t, 1)
	stop()
	cursor, err := h.store.Mail.Cursor(h.account.ID, "INBOX")
	if err != nil {
		t.Fatal(err)
	}

	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "since", ""))
	s.ResetUIDValidity(t, s.User, "INBOX")
	_, stop = h.watch(t, dialerTo(s.Endpoint))
	testenv.Await(t, "the folder is gone through anew", func() error {
		c, err := h.store.Mail.Cursor(h.account.ID, "INBOX")
		if err == nil && (c.UIDValidity == cursor.UIDValidity || !c.Since.IsZero()) {
			err = fmt.Errorf("the cursor was %+v and is %+v", cursor, c)
		}
		return err
	})
	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "after", ""))
	testenv.Await(t, "the mail after is notified", func() error {
		if got := subjects(h.mails(t)); !slices.Contains(got, "after") {
			return fmt.Errorf("%q were notified", got)
		}
		return nil
	})
	stop()
	count := make(map[string]int)
	for _, n := range h.mails(t) {
		count[n.Content.Subject]++
	}
	// What came within the quarter of an hour before the first sight may be taken for new then: the
	// clocks may differ.
	delete(count, "never notified")
	if !maps.Equal(count, map[string]int{"notified": 1, "since": 1, "after": 1}) {
		t.Errorf("notified %v", count)
	}
}

func dovecotTour(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	s.CreateFolder(t, s.User, "Büro")
	account := accountAt(s.Endpoint, idlepush.SecurityTLS)
	account.Folders = []string{"INBOX", "Büro", "gone"}
	h := newHarness(t, account)
	conn, err := dialerTo(s.Endpoint).login(t.Context(), &h.account)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	session := h.session(conn, new(failures))
	for _, step := range []struct {
		folder string
		found  int
	}{{"", 0}, {"Büro", 1}, {"INBOX", 1}, {"", 0}} {
		if step.folder != "" {
			s.Deliver(t, s.User, step.folder, mail("a@example.org", "for "+step.folder, ""))
		}
		session.reader.close()
		session.tour = time.Time{} // as after a poll
		if found, err := session.catchUp(); err != nil || found != step.found {
			t.Fatalf("after a mail to %q: %d found, %v; want %d", step.folder, found, err, step.found)
		}
		if f := session.reader.selected; f == nil || f.name != "INBOX" {
			t.Fatalf("the session would wait in %+v", f)
		}
	}
	// The mod-sequence of a folder that is not open shows that mail was read there.
	h.deliverAll(t)
	s.Doveadm(t, s.User, "flags", "add", `\Seen`, "mailbox", "Büro", "all")
	session.tour = time.Time{}
	if _, err := session.catchUp(); err != nil || !slices.Equal(h.cleared(t), []string{"for Büro"}) {
		t.Errorf("cleared are %q, %v", h.cleared(t), err)
	}
	if m := session.folders.named("Büro").status; m.modSeq == 0 {
		t.Errorf("its status is %+v", m)
	}
	if missing := session.folders.missing(); !slices.Equal(missing, []string{"gone"}) {
		t.Errorf("the missing folders are %v", missing)
	}
}

func dovecotTwelveFolders(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	account := accountAt(s.Endpoint, idlepush.SecurityTLS)
	account.Folders = []string{"INBOX", "Büro & Co"}
	for i := range 10 {
		account.Folders = append(account.Folders, fmt.Sprint("List ", i))
	}
	for _, f := range account.Folders[1:] {
		s.CreateFolder(t, s.User, f)
	}
	h := newHarness(t, account)
	conn, err := dialerTo(s.Endpoint).login(t.Context(), &h.account)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	session, ctx := h.session(conn, new(failures)), testenv.Context(t)
	if _, err := session.catchUp(); err != nil {
		t.Fatal(err)
	}
	for i, f := range account.Folders {
		// It comes while the session is still on its way back from the one before.
		s.Deliver(t, s.User, f, mail("a@example.org", "for "+f, ""))
		for len(h.mails(t)) == i {
			session.tour = time.Now().Add(time.Hour) // so that only the server's word ends the wait
			if err := session.wait(ctx); err != nil || session.waiter.last.news == (wire.News{}) {
				t.Fatalf("the server has not reported a message to %s: %v", f, err)
			}
			if _, err := session.catchUp(); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.mails(t)[i]; got.Folder != f || got.Content.Subject != "for "+f {
			t.Fatalf("a mail to %s was notified as %q in %s", f, got.Content.Subject, got.Folder)
		}
	}
	conn.Close()
	h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	for _, f := range account.Folders {
		s.Deliver(t, s.User, f, mail("a@example.org", "all at once, for "+f, ""))
	}
	h.waitMails(t, 2*len(account.Folders))
	if logins := strings.Count(h.logged.String(), "msg=connected"); logins != 1 {
		t.Errorf("%d connections", logins)
	}
}

func dovecotReadElsewhere(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	account := accountAt(s.Endpoint, idlepush.SecurityTLS)
	account.Folders = []string{"INBOX", "Work"}
	s.CreateFolder(t, s.User, "Work")
	s.CreateFolder(t, s.User, "Elsewhere")
	h := newHarness(t, account)
	h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	names := []string{"read", "removed", "filed away", "moved to Work", "left alone"}
	for _, name := range names {
		s.Deliver(t, s.User, "INBOX", mail("a@example.org", name, ""))
	}
	h.waitMails(t, len(names))
	h.deliverAll(t)
	header := func(name string) []string { return []string{"mailbox", "INBOX", "header", "Subject", name} }
	s.Move(t, "moved to Work", "Work")
	s.Doveadm(t, s.User, append([]string{"flags", "add", `\Seen`}, header("read")...)...)
	s.Doveadm(t, s.User, append([]string{"expunge"}, header("removed")...)...)
	s.Doveadm(t, s.User, append([]string{"move", "Elsewhere"}, header("filed away")...)...)
	testenv.Await(t, "what is gone is cleared", func() error {
		if got := h.cleared(t); len(got) < 3 {
			return fmt.Errorf("only %q are", got)
		}
		return nil
	})
	if got := h.cleared(t); slices.Contains(got, "left alone") || slices.Contains(got, "moved to Work") {
		t.Errorf("cleared are %q", got)
	}
	if got := h.mails(t); len(got) != len(names) {
		t.Errorf("%q were notified", subjects(got))
	}
	testenv.Await(t, "two are counted as unread", func() error {
		n, known, err := h.store.Accounts.Unread(h.account.ID)
		if err == nil && (!known || n != 2) {
			err = fmt.Errorf("%d are, known: %v", n, known)
		}
		return err
	})
	var clears []string
	for {
		w, ok, err := h.store.Outbox.Next(h.device.ID, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		clears = append(clears, string(w.Notification.Kind))
		if _, err := h.store.Outbox.Settle(w, registry.Outcome{Result: registry.ResultDelivered}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if len(clears) > 0 {
		t.Errorf("a browser, which must show something at every push, is sent %q", clears)
	}
}

func dovecotFlagsReported(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	account := accountAt(s.Endpoint, idlepush.SecurityTLS)
	account.Folders = []string{"INBOX", "Work"}
	s.CreateFolder(t, s.User, "Work")
	h := newHarness(t, account)
	conn, err := dialerTo(s.Endpoint).login(t.Context(), &h.account)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	session, ctx := h.session(conn, new(failures)), testenv.Context(t)
	if _, err := session.catchUp(); err != nil {
		t.Fatal(err)
	}
	until := func(done func() bool) {
		for !done() {
			session.tour = time.Now().Add(time.Hour) // so that only the server's word ends the wait
			if err := session.wait(ctx); err != nil || session.waiter.last.news == (wire.News{}) {
				t.Fatalf("the server has reported nothing: %v", err)
			}
			if _, err := session.catchUp(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, f := range account.Folders {
		s.Deliver(t, s.User, f, mail("a@example.org", "for "+f, ""))
		until(func() bool { return len(h.mails(t)) > i })
	}
	h.deliverAll(t)
	for i, f := range account.Folders {
		s.Doveadm(t, s.User, "flags", "add", `\Seen`, "mailbox", f, "all")
		until(func() bool { return len(h.cleared(t)) > i })
	}
}

func dovecotRestored(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	h := newHarness(t, accountAt(s.Endpoint, idlepush.SecurityTLS))
	h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	s.Deliver(t, s.User, "INBOX", mail("a@example.org", "saved", ""))
	h.waitMails(t, 1)
	s.Stop(t)
	s.Backup(t, s.User)
	s.Start(t)
	for _, name := range []string{"lost 1", "lost 2"} {
		s.Deliver(t, s.User, "INBOX", mail("a@example.org", name, ""))
	}
	h.waitMails(t, 3)
	s.Stop(t)
	s.Restore(t, s.User)
	s.Start(t)
	testenv.Await(t, "the folder is gone through anew", func() error {
		c, err := h.store.Mail.Cursor(h.account.ID, "INBOX")
		if err == nil && (c.Next >= 4 || !c.Since.IsZero()) {
			err = fmt.Errorf("the cursor is %+v", c)
		}
		return err
	})
	for _, name := range []string{"new 1", "new 2", "new 3"} {
		s.Deliver(t, s.User, "INBOX", mail("a@example.org", name, ""))
	}
	h.waitMails(t, 6)
	if got := subjects(h.mails(t)); !slices.Equal(got, []string{"saved", "lost 1", "lost 2", "new 1", "new 2", "new 3"}) {
		t.Errorf("notified %q", got)
	}
}
