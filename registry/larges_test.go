package registry

import (
	"fmt"
	"slices"
	"testing"

	"idlepush"
)

// large is a call that is too large for one transaction with a bound.
type large struct {
	name    string
	prepare func(b *estate) // in a store without one
	do      func(b *estate) error
	gone    error // of the call that is repeated, where all but the last transaction was done
	fits    bool  // one transaction is enough, just so
	// recount is for a call that does something else once the program has ended: it holds the
	// outcome to what must be so. Nil: the outcome is the same.
	recount func(t *testing.T, b *estate)
}

// estate is a store with what a large call is about.
type estate struct {
	testing.TB
	s    *Store
	ann  idlepush.User
	a    idlepush.Account
	d    idlepush.Device // ann's first, whatever else there is
	work Work
	look Arrival
}

// mails are so many mails from where the cursor stands, with fingerprints.
func (b *estate) mails(n int, wordless bool) Arrival {
	look := arrival(b, b.s, b.a, n, dawn)
	for i := range look.Mails {
		look.Mails[i].Fingerprint = fmt.Sprint("print ", look.Mails[i].UID)
		if look.Mails[i].Wordless = wordless; wordless {
			look.Mails[i].Content = idlepush.Content{}
		}
	}
	return look
}

func (b *estate) record(n int) {
	if _, err := b.s.Mail.Record(b.mails(n, false)); err != nil {
		b.Fatal(err)
	}
}

// deliver empties the queues of the devices after the first so many.
func (b *estate) deliver(after int) {
	list, err := b.s.Devices.List("")
	if err != nil {
		b.Fatal(err)
	}
	for _, d := range list[after:] {
		drain(b, b.s, d, dawn)
	}
}

// share gives the mailbox to other people, with so many devices each.
func (b *estate) share(people, devices int) {
	for i := range people {
		u := someone(b, b.s, fmt.Sprint("user ", i))
		phones(b, b.s, u, devices)
		b.a.SharedWith = append(b.a.SharedWith, u.ID)
	}
	var err error
	if b.a, err = b.s.Accounts.Update(b.a, dawn); err != nil {
		b.Fatal(err)
	}
}

func (b *estate) clear(n int) error {
	var uids []uint32
	for uid := range n {
		uids = append(uids, uint32(uid+1))
	}
	_, err := b.s.Mail.Clear(b.a.ID, "INBOX", 7, uids, dawn)
	return err
}

func uncertain(b *estate, n int) {
	b.deliver(n)
	for _, d := range listOf(b, b.s.Devices.List)[:n/2] {
		end(b, b.s, first(b, b.s, d, dawn), Outcome{Result: ResultRetry, MaybeDelivered: true, Reason: idlepush.Reason{Code: "timeout"}}, dawn)
	}
}

func listOf(b *estate, list func(string) ([]idlepush.Device, error)) []idlepush.Device {
	all, err := list("")
	if err != nil {
		b.Fatal(err)
	}
	return all
}

var larges = []large{
	{name: "record for 300 devices", prepare: func(b *estate) { phones(b, b.s, b.ann, 300); b.look = b.mails(2, false) },
		do: func(b *estate) error { return b.retry() }},
	{name: "record for 60 devices of each of 5", prepare: func(b *estate) { b.share(5, 60); b.look = b.mails(2, false) },
		do: func(b *estate) error { return b.retry() }},
	{name: "record 50 mails", prepare: func(b *estate) { b.share(1, 2); b.look = b.mails(50, false) },
		do: func(b *estate) error { return b.retry() }},
	{name: "clear 50 mails", prepare: func(b *estate) { b.share(1, 4); b.record(50); b.deliver(3) },
		do: func(b *estate) error { return b.clear(50) }},
	{name: "clear what waits for 100 devices", prepare: func(b *estate) { phones(b, b.s, b.ann, 100); b.record(2); uncertain(b, 60) },
		do: func(b *estate) error { return b.clear(2) }},
	{name: "clear what was told on 300 devices", prepare: func(b *estate) { phones(b, b.s, b.ann, 300); b.record(1); b.deliver(0) },
		do: func(b *estate) error { return b.clear(1) }},
	{name: "clear what is in 30 summaries", prepare: func(b *estate) {
		phones(b, b.s, b.ann, 30)
		b.record(3)
		for i, d := range listOf(b, b.s.Devices.List) {
			combine(b, b.s, first(b, b.s, d, dawn), dawn)
			if i%2 == 0 {
				drain(b, b.s, d, dawn)
			}
		}
	}, do: func(b *estate) error { return b.clear(3) }},
	{name: "combine 200 mails", prepare: func(b *estate) {
		for range 4 {
			b.record(50)
		}
		b.work = first(b, b.s, b.d, dawn)
	}, do: func(b *estate) error { _, err := combineWork(b.s, b.work, dawn); return err }, recount: recountMails},
	{name: "combine 30 mails behind 20 that got their words", prepare: func(b *estate) {
		if err := b.find(b.mails(20, true)); err != nil {
			b.Fatal(err)
		}
		b.deliver(0)
		for uid := range uint32(20) {
			if _, err := b.s.Mail.FillIn(b.a.ID, "INBOX", 7, Message{UID: uid + 1, Content: idlepush.Content{Subject: "words"}}, dawn); err != nil {
				b.Fatal(err)
			}
		}
		b.record(30)
		b.work = first(b, b.s, b.d, dawn)
	}, do: func(b *estate) error { _, err := combineWork(b.s, b.work, dawn); return err }, recount: recountMails},
	{name: "what was delivered with 16 riders", prepare: func(b *estate) {
		b.d = browser(b, b.s, b.ann, "page", "https://push.example")
		b.record(20)
		b.deliver(0)
		for uid := range uint32(16) {
			if _, err := b.s.Mail.Clear(b.a.ID, "INBOX", 7, []uint32{uid + 1}, dawn); err != nil {
				b.Fatal(err)
			}
		}
		b.record(1)
		b.work = first(b, b.s, b.d, dawn)
	}, do: func(b *estate) error { return settleWork(b.s, b.work, Outcome{Result: ResultDelivered}, dawn) }, fits: true},
	{name: "tell 300 devices that one is gone", prepare: func(b *estate) {
		phones(b, b.s, b.ann, 300)
		b.record(1)
		b.work = first(b, b.s, b.d, dawn)
	}, do: func(b *estate) error {
		return settleWork(b.s, b.work, Outcome{Result: ResultGone, Reason: idlepush.Reason{Code: "gone"}}, dawn)
	}, gone: ErrNotFound},
	{name: "fill in on 300 devices", prepare: func(b *estate) {
		phones(b, b.s, b.ann, 300)
		if err := b.find(b.mails(1, true)); err != nil {
			b.Fatal(err)
		}
		b.deliver(20)
	}, do: func(b *estate) error {
		_, err := b.s.Mail.FillIn(b.a.ID, "INBOX", 7, Message{UID: 1, Content: idlepush.Content{Subject: "words"}}, dawn)
		return err
	}},
	{name: "fill in a twin on 100 devices", prepare: func(b *estate) {
		b.record(1)
		phones(b, b.s, b.ann, 100)
		if err := b.find(b.mails(1, true)); err != nil {
			b.Fatal(err)
		}
		b.deliver(50)
	}, do: func(b *estate) error {
		_, err := b.s.Mail.FillIn(b.a.ID, "INBOX", 7, Message{UID: 2, Fingerprint: "print 1", Content: idlepush.Content{Subject: "words"}}, dawn)
		return err
	}},
	{name: "need a person anew with 100 devices", prepare: func(b *estate) {
		phones(b, b.s, b.ann, 100)
		if err := setState(b.s, b.a, idlepush.StateAttention, "login", "Enter it.", dawn); err != nil {
			b.Fatal(err)
		}
		b.deliver(50)
		b.a.Password = "another"
		a, err := b.s.Accounts.Update(b.a, dawn)
		if b.a = a; err != nil {
			b.Fatal(err)
		}
	}, do: func(b *estate) error {
		return setState(b.s, b.a, idlepush.StateAttention, "login", "Enter it again.", dawn.Add(1))
	}},
	{name: "need a person anew with 100 devices, long after the last time", prepare: func(b *estate) {
		phones(b, b.s, b.ann, 100)
		if err := setState(b.s, b.a, idlepush.StateAttention, "login", "Enter it.", dawn.Add(-maxAge)); err != nil {
			b.Fatal(err)
		}
		a, err := b.s.Accounts.Update(b.a, dawn)
		if b.a = a; err != nil {
			b.Fatal(err)
		}
		if err := b.s.Purge(b.Context(), dawn); err != nil {
			b.Fatal(err)
		}
	}, do: func(b *estate) error {
		return setState(b.s, b.a, idlepush.StateAttention, "login", "Enter it again.", dawn)
	}},
	{name: "hasten 300 devices", prepare: func(b *estate) { phones(b, b.s, b.ann, 300); b.record(1) },
		do: func(b *estate) error { return b.s.Outbox.HastenDue(dawn.Add(-1)) }},
	{name: "remove a user with hundreds of everything", prepare: func(b *estate) {
		b.share(5, 1)
		phones(b, b.s, b.ann, 200)
		for i := range 150 {
			addSession(b, b.s, b.ann)
			if _, _, err := b.s.Users.AddInvite(b.ann.ID, InviteForPerson, false, "", dawn); err != nil {
				b.Fatal(err)
			}
			if i < 100 {
				mailbox(b, b.s, b.ann, fmt.Sprint(i, "@example.org"))
			}
		}
		b.folders(50)
	}, do: func(b *estate) error { return b.s.Users.Remove(b.ann.ID, dawn) }, gone: ErrNotFound},
	{name: "share an account with 50 others, and leave 50 folders", prepare: func(b *estate) {
		b.share(50, 1)
		b.folders(50)
		b.deliver(0)
	}, do: func(b *estate) error {
		a, err := b.s.Accounts.Get(b.a.ID)
		if err != nil {
			return err
		}
		a.SharedWith, a.Folders = nil, []string{"INBOX"}
		for i := range 50 {
			a.SharedWith = append(a.SharedWith, fmt.Sprint("other ", i))
		}
		_, err = b.s.Accounts.Update(a, dawn)
		return err
	}},
	{name: "offer an account to 25 others, not to 25, and end 10 shares", prepare: func(b *estate) {
		b.share(10, 1)
		for i := range 25 {
			b.a.OfferedTo = append(b.a.OfferedTo, someone(b, b.s, fmt.Sprint("asked ", i)).ID)
		}
		var err error
		if b.a, err = b.s.Accounts.Update(b.a, dawn); err != nil {
			b.Fatal(err)
		}
		for i := range 25 {
			phones(b, b.s, someone(b, b.s, fmt.Sprint("other ", i)), 2)
		}
	}, do: func(b *estate) error {
		a, err := b.s.Accounts.Get(b.a.ID)
		if err != nil {
			return err
		}
		a.SharedWith, a.OfferedTo = nil, nil
		for i := range 25 {
			u, err := userCalled(b.s, fmt.Sprint("other ", i))
			if err != nil {
				return err
			}
			a.OfferedTo = append(a.OfferedTo, u)
		}
		_, err = b.s.Accounts.Update(a, dawn)
		return err
	}},
	{name: "remove an account that is offered to 50", prepare: func(b *estate) {
		for i := range 50 {
			b.a.OfferedTo = append(b.a.OfferedTo, someone(b, b.s, fmt.Sprint("asked ", i)).ID)
		}
		var err error
		if b.a, err = b.s.Accounts.Update(b.a, dawn); err != nil {
			b.Fatal(err)
		}
	}, do: func(b *estate) error { return b.s.Accounts.Remove(b.a.ID, dawn) }, gone: ErrNotFound},
	{name: "remove an account of 50 folders and 50 people", prepare: func(b *estate) { b.share(50, 1); b.folders(50) },
		do: func(b *estate) error { return b.s.Accounts.Remove(b.a.ID, dawn) }, gone: ErrNotFound},
	{name: "remove a session with 60 devices", prepare: func(b *estate) {
		resident(b, b.s, "carl")
		_, t, _ := inSession(b, b.s, "carl")
		for i := range 60 {
			register(b, b.s, idlepush.Device{User: t.User, Name: fmt.Sprint(i), By: t.ID, Transport: FCM, Address: idlepush.Secret(fmt.Sprint("of carl ", i)), Content: idlepush.LevelSubject})
		}
		b.work.Device = idlepush.Device{User: t.User, By: t.ID}
	}, do: func(b *estate) error {
		return b.s.Logins.RemoveSession(b.work.Device.User, b.work.Device.By, "")
	}, gone: ErrNotFound},
	{name: "purge", prepare: func(b *estate) { phones(b, b.s, b.ann, 100); b.record(5); b.deliver(50) },
		do: func(b *estate) error { return b.s.Purge(b.Context(), dawn.Add(maxAge)) }},
	{name: "drop what has expired", prepare: func(b *estate) { b.record(50); b.record(50) },
		do: func(b *estate) error {
			_, _, err := b.s.Outbox.Next(b.d.ID, dawn.Add(maxAge))
			return err
		}},
}

// userCalled returns the id of the user of that name.
func userCalled(s *Store, name string) (string, error) {
	user, _, err := s.Logins.Recognize(name, "")
	return user, err
}

// retry records the look from where the cursor stands, as the watcher does.
func (b *estate) retry() error {
	from, err := b.s.Mail.Cursor(b.a.ID, "INBOX")
	if err != nil {
		return err
	}
	look := b.look
	look.From = from
	look.Mails = slices.DeleteFunc(slices.Clone(look.Mails), func(m Message) bool { return m.UID < from.Next })
	return b.find(look)
}

func (b *estate) find(a Arrival) error {
	_, err := b.s.Mail.Record(a)
	return err
}

// folders gives the mailbox so many folders, each with a cursor.
func (b *estate) folders(n int) {
	b.a.Folders = nil
	for i := range n {
		b.a.Folders = append(b.a.Folders, fmt.Sprint("folder ", i))
	}
	var err error
	if b.a, err = b.s.Accounts.Update(b.a, dawn); err != nil {
		b.Fatal(err)
	}
	for _, folder := range b.a.Folders {
		if err := b.find(Arrival{Account: b.a.ID, Folder: folder, To: Cursor{UIDValidity: 7, Next: 1}, At: dawn}); err != nil {
			b.Fatal(err)
		}
	}
}
