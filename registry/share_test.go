package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestShare(t *testing.T) {
	t.Parallel()
	t.Run("an offer is told once, and nothing rings or is seen until it is accepted", offerTold)
	t.Run("a share shows what rang since it began, whatever the clock does", shareLooksForward)
	t.Run("old mail and filled-in mail of before does not ring for those who came later", beforeDoesNotRing)
	t.Run("who declined or left is offered nothing for a week, whatever the owner does", refusalLasts)
	t.Run("an owner who is not answered rings a person once a week", unansweredRings)
	t.Run("a refusal is of one owner and one person", refusalOfPair)
	t.Run("an offer is of the mailbox that it was", offerOfMailbox)
	t.Run("the owner is told who joins, and how", joinTold)
	t.Run("offers end with the account, the owner and the person", offersEnd)
	t.Run("what was asked is purged after a week, or with the users", askedPurged)
}

// offer offers the account to the people, and returns it.
func offer(t testing.TB, s *Store, a idlepush.Account, now time.Time, people ...idlepush.User) idlepush.Account {
	t.Helper()
	a, err := s.Accounts.Get(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	a.OfferedTo = nil
	for _, u := range people {
		a.OfferedTo = append(a.OfferedTo, u.ID)
	}
	if a, err = s.Accounts.Update(a, now); err != nil {
		t.Fatal(err)
	}
	return a
}

// offersOf returns the ids of the offers to the user, by the address of the account.
func offersOf(t testing.TB, s *Store, u idlepush.User) (ids []string) {
	t.Helper()
	list, err := s.Accounts.Offers(u.ID)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b idlepush.Offer) int { return strings.Compare(a.Account.Email, b.Account.Email) })
	for _, o := range list {
		ids = append(ids, o.ID)
	}
	return ids
}

func accept(t testing.TB, s *Store, u idlepush.User, now time.Time) idlepush.Account {
	t.Helper()
	id := offersOf(t, s, u)[0]
	list, err := s.Accounts.Offers(u.ID)
	if err == nil {
		err = s.Accounts.Accept(u.ID, id, now)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Accounts.Get(list[slices.IndexFunc(list, func(o idlepush.Offer) bool { return o.ID == id })].Account.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// refusedUntil returns from when the people can be asked again, or a zero time.
func refusedUntil(t testing.TB, s *Store, a idlepush.Account, now time.Time, people ...idlepush.User) time.Time {
	t.Helper()
	a, err := s.Accounts.Get(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	a.OfferedTo = nil
	for _, u := range people {
		a.OfferedTo = append(a.OfferedTo, u.ID)
	}
	a.Email = "changed@example.org"
	_, err = s.Accounts.Update(a, now)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		if now, _ := s.Accounts.Get(a.ID); now.Email == a.Email {
			t.Error("it is refused, and changed all the same")
		}
		return refused.From
	}
	if err != nil {
		t.Fatal(err)
	}
	return time.Time{}
}

func codesOf(list []idlepush.Notification) (all []string) {
	for _, n := range list {
		all = append(all, string(n.Code))
	}
	return all
}

func offerTold(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	d := phone(t, s, ben, "ben's phone")
	a := mailbox(t, s, ann, "bank@bank.example")
	a = offer(t, s, a, dawn, ben)
	if !slices.Equal(a.OfferedTo, []string{ben.ID}) || a.Visible(ben.ID) {
		t.Errorf("the account is %+v", a)
	}
	told := attentions(t, s, ben, dawn)
	want := map[string]string{"person": "ann", "mailbox": "bank@bank.example", "host": "imap.example.org"}
	if len(told) != 1 || told[0].Code != codeShareOffered || !maps.Equal(told[0].Params, want) {
		t.Fatalf("ben is told %+v", told)
	}
	if got := drain(t, s, d, dawn); !slices.Equal(got, []string{told[0].ID}) {
		t.Errorf("the phone is sent %q", got)
	}
	arrive(t, s, a, 1, dawn)
	if got := drain(t, s, d, dawn); len(got) > 0 {
		t.Errorf("before it is accepted, the phone is sent %q", got)
	}
	if list := allNotifications(t, s, ben, 50, dawn); len(list) != 1 {
		t.Errorf("before it is accepted, ben sees %+v", list)
	}
	list, err := s.Accounts.Offers(ben.ID)
	if err != nil || len(list) != 1 || list[0].Account.ID != a.ID || list[0].Account.Owner != ann.ID || !list[0].At.Equal(dawn) {
		t.Errorf("the offers are %+v, %v", list, err)
	}
	if err := s.Accounts.Accept(ann.ID, list[0].ID, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("somebody else accepts: %v", err)
	}
	if err := s.Accounts.Decline(ann.ID, list[0].ID, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("somebody else declines: %v", err)
	}
	reopen(t, s)
	a = accept(t, s, ben, dawn)
	if !slices.Equal(a.SharedWith, []string{ben.ID}) || len(a.OfferedTo) > 0 || len(offersOf(t, s, ben)) > 0 {
		t.Errorf("once it is accepted, the account is %+v", a)
	}
	if got := arrive(t, s, a, 1, dawn); !slices.Equal(drain(t, s, d, dawn), got) {
		t.Error("once it is accepted, it does not ring")
	}
}

func shareLooksForward(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ accepted, later time.Duration }{
		"in time":                 {time.Second, time.Second},
		"at once":                 {0, 0},
		"the clock was set back":  {-time.Hour, -2 * time.Hour},
		"the clock was set ahead": {time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
			a := mailbox(t, s, ann, "ann@example.org")
			before := arrive(t, s, a, 2, dawn)
			offer(t, s, a, dawn, ben)
			a = accept(t, s, ben, dawn.Add(c.accepted))
			after := arrive(t, s, a, 2, dawn.Add(c.later))
			for _, page := range []int{1, 2, 50} {
				var ids []string
				for _, n := range allNotifications(t, s, ben, page, dawn) {
					if n.Kind == idlepush.KindMail {
						ids = append(ids, n.ID)
					}
				}
				slices.Reverse(ids)
				if !slices.Equal(ids, after) {
					t.Errorf("in pages of %d ben sees %q, want %q", page, ids, after)
				}
			}
			for _, id := range before {
				if _, err := s.History.Get(ben.ID, id, dawn); !errors.Is(err, ErrNotFound) {
					t.Errorf("ben gets a mail of before: %v", err)
				}
				if _, err := s.History.Get(ann.ID, id, dawn); err != nil {
					t.Errorf("ann does not get it: %v", err)
				}
			}
			if _, err := s.History.Get(ben.ID, after[0], dawn); err != nil {
				t.Error(err)
			}
			// Whoever is let in again has seen what came before, but the share is a new one.
			if err := s.Accounts.Leave(ben.ID, a.ID, dawn.Add(c.later)); err != nil {
				t.Fatal(err)
			}
			a.Owner = ben.ID
			if _, _, err := s.Accounts.Add(a, "", dawn.Add(c.later)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.History.Get(ben.ID, after[0], dawn); !errors.Is(err, ErrNotFound) {
				t.Errorf("in a new share ben gets mail of the one before: %v", err)
			}
		})
	}
}

func beforeDoesNotRing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	d := phone(t, s, ben, "phone")
	a := mailbox(t, s, ann, "ann@example.org")
	look := arrival(t, s, a, 3, dawn)
	look.Mails[0].Old, look.Mails[1].Old = true, true
	look.Mails[2].Wordless, look.Mails[2].Content = true, idlepush.Content{}
	if _, err := s.Mail.Record(look); err != nil {
		t.Fatal(err)
	}
	offer(t, s, a, dawn, ben)
	drain(t, s, d, dawn)
	a = accept(t, s, ben, dawn)
	list, err := s.Outbox.OldMail()
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := s.Outbox.RingOld(list[0], dawn); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mail.FillIn(a.ID, "INBOX", 7, Message{UID: 3, Content: idlepush.Content{Subject: "words"}}, dawn); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, d, dawn); len(got) > 0 {
		t.Errorf("the phone is sent %q", got)
	}
}

func refusalLasts(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, refuse := range map[string]func(s *Store, ben idlepush.User, a idlepush.Account) error{
		"declined": func(s *Store, ben idlepush.User, _ idlepush.Account) error {
			return s.Accounts.Decline(ben.ID, offersOf(t, s, ben)[0], dawn)
		},
		"left": func(s *Store, ben idlepush.User, a idlepush.Account) error {
			accept(t, s, ben, dawn)
			return s.Accounts.Leave(ben.ID, a.ID, dawn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann, ben, eve := someone(t, s, "ann"), someone(t, s, "ben"), someone(t, s, "eve")
			a, other := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
			offer(t, s, a, dawn, ben)
			if err := refuse(s, ben, a); err != nil {
				t.Fatal(err)
			}
			if err := s.Accounts.Leave(ben.ID, a.ID, dawn); !errors.Is(err, ErrNotFound) {
				t.Errorf("ben leaves once more: %v", err)
			}
			reopen(t, s)
			if err := s.Purge(t.Context(), dawn.Add(6*day)); err != nil {
				t.Fatal(err)
			}
			from := dawn.Add(7 * day)
			offer(t, s, a, dawn, eve) // somebody else may be asked, and taken out again
			offer(t, s, a, dawn)
			for name, a := range map[string]idlepush.Account{"the same mailbox": a, "another mailbox": other} {
				if got := refusedUntil(t, s, a, from.Add(-1), ben); !got.Equal(from) {
					t.Errorf("%s: from %v", name, got)
				}
				if got := refusedUntil(t, s, a, from.Add(-1), eve, ben); !got.Equal(from) {
					t.Errorf("%s, with somebody else: from %v", name, got)
				}
			}
			// Nor does the account help that is removed and added again.
			if err := s.Accounts.Remove(a.ID, dawn); err != nil {
				t.Fatal(err)
			}
			a.OfferedTo, a.SharedWith = []string{ben.ID}, nil
			if _, _, err := s.Accounts.Add(a, "", dawn.Add(day)); err == nil || !errors.As(err, new(*RefusedError)) {
				t.Errorf("an account that is added again is offered: %v", err)
			}
			if list, _ := s.Accounts.List(); len(list) != 1 {
				t.Errorf("the account was added: %+v", list)
			}
			if got := refusedUntil(t, s, other, from, ben); !got.IsZero() || len(offersOf(t, s, ben)) != 1 {
				t.Errorf("after a week: from %v", got)
			}
			// The person can join with the password at any time.
			b := other
			b.Owner = ben.ID
			if got, added, err := s.Accounts.Add(b, "", dawn); err != nil || added || !got.Visible(ben.ID) {
				t.Errorf("with its password: %+v, %v", got, err)
			}
		})
	}
}

func unansweredRings(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	d := phone(t, s, ben, "phone")
	a, other := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	rings := func(a idlepush.Account, now time.Time) int {
		t.Helper()
		offer(t, s, a, now)
		offer(t, s, a, now, ben)
		return len(drain(t, s, d, now))
	}
	const week = 7 * 24 * time.Hour
	got := []int{rings(a, dawn), rings(a, dawn), rings(other, dawn.Add(week-1)), rings(a, dawn.Add(week)), rings(other, dawn.Add(week))}
	if want := []int{1, 0, 0, 1, 0}; !slices.Equal(got, want) || len(offersOf(t, s, ben)) != 2 {
		t.Errorf("the phone rings %v times, want %v", got, want)
	}
	accept(t, s, ben, dawn.Add(week))
	if n := rings(other, dawn.Add(week)); n != 1 {
		t.Errorf("once one is accepted, the next rings %d times", n)
	}
}

func refusalOfPair(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben, eve := someone(t, s, "ann"), someone(t, s, "ben"), someone(t, s, "eve")
	a, eves := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, eve, "e@example.org")
	offer(t, s, a, dawn, ben, eve)
	if err := s.Accounts.Decline(ben.ID, offersOf(t, s, ben)[0], dawn); err != nil {
		t.Fatal(err)
	}
	if got := offersOf(t, s, eve); len(got) != 1 {
		t.Errorf("eve has the offers %q", got)
	}
	if got := refusedUntil(t, s, eves, dawn, ben); !got.IsZero() {
		t.Errorf("eve can ask from %v", got)
	}
	if got := refusedUntil(t, s, a, dawn, eve, ben); got.IsZero() {
		t.Error("ann can ask again")
	}
	// A clock that was a year ahead locks nobody out.
	if err := s.Accounts.Decline(eve.ID, offersOf(t, s, eve)[0], dawn.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if got := refusedUntil(t, s, a, dawn, eve); !got.IsZero() {
		t.Errorf("ann can ask eve from %v", got)
	}
}

func offerOfMailbox(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	a := offer(t, s, mailbox(t, s, ann, "a@example.org"), dawn, ben)
	made := offersOf(t, s, ben)[0]
	a.Link, a.Email = "https://mail.example.org/", "renamed@example.org"
	a, err := s.Accounts.Update(a, dawn)
	if err != nil || !slices.Equal(offersOf(t, s, ben), []string{made}) {
		t.Errorf("after another name: %v, %v", offersOf(t, s, ben), err)
	}
	a.Username = "another"
	if a, err = s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	if got := offersOf(t, s, ben); len(got) != 1 || got[0] == made {
		t.Errorf("an offer of another mailbox is %q, that of the one before was %q", got, made)
	}
	if err := s.Accounts.Accept(ben.ID, made, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("the offer of the mailbox before is accepted: %v", err)
	}
	a.Username, a.OfferedTo = "a third", nil
	if _, err = s.Accounts.Update(a, dawn); err != nil || len(offersOf(t, s, ben)) > 0 {
		t.Errorf("offers %q, %v", offersOf(t, s, ben), err)
	}
}

func joinTold(t *testing.T) {
	t.Parallel()
	for _, phones := range []int{0, 1} {
		s := newStore(t)
		ann, ben, eve := someone(t, s, "ann"), someone(t, s, "ben"), someone(t, s, "eve")
		for i := range phones {
			phone(t, s, ann, fmt.Sprint("phone ", i))
		}
		a := mailbox(t, s, ann, "a@example.org")
		offer(t, s, a, dawn, ben, eve)
		accept(t, s, ben, dawn.Add(1))
		b := a
		b.Owner = eve.ID
		for range 2 { // once more says nothing new
			if got, added, err := s.Accounts.Add(b, "", dawn.Add(2)); err != nil || added || !got.Visible(eve.ID) || len(got.OfferedTo) > 0 {
				t.Fatalf("%+v, %v, %v", got, added, err)
			}
		}
		told := attentions(t, s, ann, dawn.Add(2))
		want := []map[string]string{{"account": "a@example.org", "person": "eve", "case": "password"}, {"account": "a@example.org", "person": "ben"}}
		if !slices.Equal(codesOf(told), []string{"share_joined", "share_joined"}) || !maps.Equal(told[0].Params, want[0]) || !maps.Equal(told[1].Params, want[1]) {
			t.Errorf("ann is told %+v", told)
		}
		if n, err := s.Users.Notice(ann.ID); err != nil || (n.Code == codeShareJoined) != (phones == 0) {
			t.Errorf("with %d devices the notice is %+v, %v", phones, n, err)
		}
		if len(offersOf(t, s, eve)) > 0 {
			t.Error("eve has the offer still")
		}
	}
}

func offersEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *Store, ann, ben idlepush.User, a idlepush.Account) error{
		"the account is removed": func(s *Store, _, _ idlepush.User, a idlepush.Account) error { return s.Accounts.Remove(a.ID, dawn) },
		"the owner is removed":   func(s *Store, ann, _ idlepush.User, _ idlepush.Account) error { return s.Users.Remove(ann.ID, dawn) },
		"the person is removed":  func(s *Store, _, ben idlepush.User, _ idlepush.Account) error { return s.Users.Remove(ben.ID, dawn) },
	} {
		s := newStore(t)
		resident(t, s, "adam")
		ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
		a := offer(t, s, mailbox(t, s, ann, "a@example.org"), dawn, ben)
		if err := end(s, ann, ben, a); err != nil {
			t.Fatal(err)
		}
		if got := offersOf(t, s, ben); len(got) > 0 {
			t.Errorf("%s: ben is offered %q", name, got)
		}
		if list, err := s.Accounts.List(); err != nil || len(list) == 1 && len(list[0].OfferedTo) > 0 {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
		if got := codesOf(attentions(t, s, ben, dawn)); slices.Contains(got, string(CodeShareEnded)) {
			t.Errorf("%s: ben is told %q", name, got)
		}
	}
}

func askedPurged(t *testing.T) {
	t.Parallel()
	count := func(s *Store) (n int) {
		err := s.db.View(func(tx *table.Tx) error {
			keys, err := asked.Keys(tx, table.Range{}, table.NoLimit)
			n = len(keys)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s := newStore(t)
	ann, ben, eve := someone(t, s, "ann"), someone(t, s, "ben"), someone(t, s, "eve")
	offer(t, s, mailbox(t, s, ann, "a@example.org"), dawn, ben, eve)
	if err := s.Accounts.Decline(eve.ID, offersOf(t, s, eve)[0], dawn.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now  time.Time
		want int
	}{{dawn.Add(askAgain - 1), 2}, {dawn.Add(askAgain), 1}, {dawn.Add(askAgain + time.Hour), 0}} {
		if err := s.Purge(t.Context(), c.now); err != nil || count(s) != c.want {
			t.Errorf("at %v there are %d, want %d: %v", c.now, count(s), c.want, err)
		}
	}
	offer(t, s, mailbox(t, s, ann, "b@example.org"), dawn, eve)
	if err := errors.Join(s.Users.Remove(eve.ID, dawn), s.Purge(t.Context(), dawn)); err != nil || count(s) != 0 {
		t.Errorf("of a user who is removed there are %d: %v", count(s), err)
	}
}
