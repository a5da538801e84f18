package registry

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	t.Run("new mail, its queue rows and the cursor commit together", recordCommits)
	t.Run("a mail recorded twice is notified once", recordTwice)
	t.Run("an arrival from a stale cursor changes nothing", recordStale)
	t.Run("at most fifty mails are recorded at once", recordTooMany)
	t.Run("the first sight of a folder notifies of nothing", recordFirstSight)
	t.Run("content is stored no higher than any receiver may see", recordLevel)
	t.Run("a disabled or removed account records nothing", recordDisabled)
	t.Run("mail notifies the devices of those who see the account, unless they chose others", recordRecipients)
	t.Run("each queue keeps the order of record, whatever the clock does", recordOrder)
	t.Run("the order outlives the activity it came from", orderOutlives)
	t.Run("a mail is notified once in its account, wherever it is moved", recordMoved)
	t.Run("a mail that moves to and fro many times is notified once", recordMovedOften)
	t.Run("a mail that comes twice rings twice, and each is cleared by itself", recordCameTwice)
	t.Run("the same mail twice in one arrival is notified twice", recordSameTwice)
	t.Run("a copy of an old mail in one arrival is not notified", recordCopyOfOld)
	t.Run("Record wakes the dispatcher only if there is work", recordSignals)
}

func recordCommits(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	one, two := phone(t, s, ann, "one"), phone(t, s, ann, "two")

	ids := arrive(t, s, a, 3, dawn)

	c, err := s.Mail.Cursor(a.ID, "INBOX")
	if want := (Cursor{UIDValidity: 7, Next: 4, Seen: dawn}); err != nil || c != want {
		t.Errorf("cursor %+v, %v; want %+v", c, err, want)
	}
	n, err := s.History.Get(ann.ID, ids[1], dawn)
	if err != nil {
		t.Fatal(err)
	}
	if n.Kind != idlepush.KindMail || n.Account != a.ID || n.Folder != "INBOX" || !n.At.Equal(dawn) || !n.Expires.Equal(dawn.Add(72*time.Hour)) {
		t.Errorf("notification %+v", n)
	}
	if want := (idlepush.Content{From: "Ann", Subject: "mail 2"}); n.Content != want {
		t.Errorf("content is %q %q %q", n.Content.From, n.Content.Subject, n.Content.Preview)
	}
	for _, d := range []idlepush.Device{one, two} {
		if got := drain(t, s, d, dawn); !slices.Equal(got, ids) {
			t.Errorf("%s got %v, want %v", d.Name, got, ids)
		}
	}
}

func recordTwice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d := phone(t, s, ann, "phone")
	ids := arrive(t, s, a, 2, dawn)

	again := arrival(t, s, a, 1, dawn)
	again.Mails = append([]Message{{UID: 1}, {UID: 2}, {UID: 3}, {UID: 3}}, again.Mails...)
	recorded, err := s.Mail.Record(again)
	if err != nil || recorded != 1 {
		t.Fatalf("recorded %d, %v; want 1", recorded, err)
	}
	if got, want := drain(t, s, d, dawn), append(ids, StableID(a.ID, "INBOX", 7, 3)); !slices.Equal(got, want) {
		t.Errorf("the phone got %v, want %v", got, want)
	}
	// Also once it has been delivered.
	again = arrival(t, s, a, 0, dawn)
	again.Mails = []Message{{UID: 1}}
	if recorded, err := s.Mail.Record(again); err != nil || recorded != 0 {
		t.Errorf("recorded %d, %v; want none", recorded, err)
	}
	if got := drain(t, s, d, dawn); len(got) > 0 {
		t.Errorf("the phone got %v again", got)
	}
}

func recordStale(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	phone(t, s, ann, "phone")
	late := arrival(t, s, a, 2, dawn)
	arrive(t, s, a, 1, dawn)

	for name, from := range map[string]Cursor{
		"never seen":          late.From,
		"another UIDVALIDITY": {UIDValidity: 8, Next: 2},
		"behind":              {UIDValidity: 7, Next: 1},
		"ahead":               {UIDValidity: 7, Next: 3},
	} {
		late.From = from
		if recorded, err := s.Mail.Record(late); !errors.Is(err, ErrStale) || recorded != 0 {
			t.Errorf("%s: recorded %d, %v; want ErrStale", name, recorded, err)
		}
	}
	if c, err := s.Mail.Cursor(a.ID, "INBOX"); err != nil || c.Next != 2 {
		t.Errorf("the cursor stands at %+v, %v", c, err)
	}
	if _, err := s.History.Get(ann.ID, StableID(a.ID, "INBOX", 7, 2), dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("mail of a stale arrival is there: %v", err)
	}
}

func recordTooMany(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d := phone(t, s, ann, "phone")

	if _, err := s.Mail.Record(arrival(t, s, a, 51, dawn)); err == nil || !strings.Contains(err.Error(), "at most 50") {
		t.Errorf("51 mails: %v", err)
	}
	if c, err := s.Mail.Cursor(a.ID, "INBOX"); err != nil || c != (Cursor{}) {
		t.Errorf("the cursor stands at %+v, %v", c, err)
	}
	ids := arrive(t, s, a, 50, dawn)
	if got := drain(t, s, d, dawn); !slices.Equal(got, ids) {
		t.Errorf("the phone got %d of %d in order", len(got), len(ids))
	}
}

func recordFirstSight(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d := phone(t, s, ann, "phone")

	seen := Arrival{Account: a.ID, Folder: "INBOX", To: Cursor{UIDValidity: 7, Next: 4711}, At: dawn}
	if recorded, err := s.Mail.Record(seen); err != nil || recorded != 0 {
		t.Fatalf("recorded %d, %v", recorded, err)
	}
	if got := drain(t, s, d, dawn); len(got) > 0 {
		t.Errorf("the phone got %v", got)
	}
	if list, _, err := s.History.List(ann.ID, "", 10, dawn); err != nil || len(list) > 0 {
		t.Errorf("notifications %v, %v", list, err)
	}
	if got, want := arrive(t, s, a, 1, dawn), StableID(a.ID, "INBOX", 7, 4711); got[0] != want {
		t.Errorf("the next mail is %s, want %s", got[0], want)
	}
}

func recordLevel(t *testing.T) {
	t.Parallel()
	full := idlepush.Content{From: "Ann", Subject: "mail 1", Preview: "Hello", OneTimeCode: "4829"}
	for name, c := range map[string]struct {
		levels []idlepush.Level
		want   idlepush.Content
	}{
		"nobody rings":       {nil, idlepush.Content{}},
		"sender":             {[]idlepush.Level{idlepush.LevelSender}, idlepush.Content{From: "Ann"}},
		"wake fetches":       {[]idlepush.Level{idlepush.LevelWake}, idlepush.Content{From: "Ann", Subject: "mail 1"}},
		"wake and sender":    {[]idlepush.Level{idlepush.LevelSender, idlepush.LevelWake}, idlepush.Content{From: "Ann", Subject: "mail 1"}},
		"subject":            {[]idlepush.Level{idlepush.LevelSubject}, idlepush.Content{From: "Ann", Subject: "mail 1"}},
		"one has preview":    {[]idlepush.Level{idlepush.LevelWake, idlepush.LevelPreview, idlepush.LevelSender}, full},
		"of no known level":  {[]idlepush.Level{"everything"}, idlepush.Content{}},
		"unknown and sender": {[]idlepush.Level{"everything", idlepush.LevelSender}, idlepush.Content{From: "Ann"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
			a := mailbox(t, s, ann, "ann@example.org")
			for i, l := range c.levels {
				register(t, s, idlepush.Device{User: ann.ID, Transport: FCM, Address: idlepush.Secret(rune('a' + i)), Content: l})
			}
			// Bob's phone is told everything, but not of this mailbox.
			register(t, s, idlepush.Device{User: bob.ID, Transport: FCM, Address: "bob", Content: idlepush.LevelPreview})
			if l, words, err := s.Mail.Level(a.ID); err != nil || words || full.At(l) != c.want {
				t.Errorf("the level is %q, %v", l, err)
			}
			n, err := s.History.Get(ann.ID, arrive(t, s, a, 1, dawn)[0], dawn)
			if err != nil || n.Content != c.want {
				t.Errorf("stored %q %q %q, %v", n.Content.From, n.Content.Subject, n.Content.Preview, err)
			}
		})
	}
}

func recordDisabled(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	phone(t, s, ann, "phone")
	look := arrival(t, s, a, 1, dawn)
	a.Enabled = false
	if _, err := s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mail.Record(look); !errors.Is(err, ErrNotFound) {
		t.Errorf("disabled: %v", err)
	}
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mail.Record(look); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	if c, err := s.Mail.Cursor(a.ID, "INBOX"); err != nil || c != (Cursor{}) {
		t.Errorf("the cursor stands at %+v, %v", c, err)
	}
	if _, _, err := s.Mail.Level(a.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("its level: %v", err)
	}
}

func recordRecipients(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob, eve := someone(t, s, "ann"), someone(t, s, "bob"), someone(t, s, "eve")
	a, other := mailbox(t, s, ann, "ann@example.org"), mailbox(t, s, ann, "other@example.org")
	a.SharedWith = []string{bob.ID}
	if _, err := s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	ring := map[string]bool{}
	for _, d := range []struct {
		name     string
		user     idlepush.User
		accounts []string
		rings    bool
	}{
		{"owner", ann, nil, true},
		{"owner, chosen", ann, []string{a.ID}, true},
		{"owner, chose another", ann, []string{other.ID}, false},
		{"owner, chose none", ann, []string{}, false},
		{"shared", bob, nil, true},
		{"shared, chose a mailbox of others", bob, []string{other.ID}, false},
		{"stranger", eve, nil, false},
		{"stranger, chosen", eve, []string{a.ID}, false},
	} {
		id := register(t, s, idlepush.Device{User: d.user.ID, Name: d.name, Transport: FCM, Address: idlepush.Secret(d.name), Content: idlepush.LevelWake, Accounts: d.accounts}).ID
		ring[id] = d.rings
	}
	arrive(t, s, a, 1, dawn)
	due := dueNow(t, s, dawn)
	for id, rings := range ring {
		if due[id] != rings {
			d, err := s.Devices.Get(id)
			t.Errorf("%s: rings %v, want %v (%v)", d.Name, due[id], rings, err)
		}
	}
}

func recordOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	d := phone(t, s, ann, "phone")

	var want []string
	for i, now := range []time.Time{dawn, dawn, dawn.Add(-time.Hour), dawn.Add(-48 * time.Hour), dawn.Add(time.Minute), dawn, time.Unix(-5, 0)} {
		want = append(want, arrive(t, s, a, 2, now)...)
		want = append(want, arrive(t, s, b, 1, now)...)
		if i%2 == 1 {
			reopen(t, s)
		}
	}
	var got []string
	for _, n := range allNotifications(t, s, ann, 4, dawn) {
		got = append(got, n.ID)
	}
	slices.Reverse(got)
	if !slices.Equal(got, want) {
		t.Errorf("notifications\n%v, want\n%v", got, want)
	}
	// What came with the clock before 1970 has expired, and nothing else.
	want = want[:len(want)-3]
	if got := drain(t, s, d, dawn.Add(time.Minute)); !slices.Equal(got, want) {
		t.Errorf("the phone got\n%v, want\n%v", got, want)
	}
}

func orderOutlives(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	d := phone(t, s, ann, "phone")
	arrive(t, s, a, 1, dawn)
	before := queueKeys(t, s, d)
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	reopen(t, s)
	arrive(t, s, b, 1, dawn.Add(-time.Hour))
	if keys := queueKeys(t, s, d); len(keys) != 1 || keys[0] <= before[0] {
		t.Errorf("the queue is %q, was %q", keys, before)
	}
}

// found is how many rang when one mail was found in a folder.
func (c carrier) found(folder string, validity, uid uint32, print string) int {
	c.Helper()
	from, err := c.s.Mail.Cursor(c.account.ID, folder)
	if err != nil {
		c.Fatal(err)
	}
	n, err := c.s.Mail.Record(Arrival{Account: c.account.ID, Folder: folder, From: from, To: Cursor{UIDValidity: validity, Next: uid + 1},
		Mails: []Message{{UID: uid, Fingerprint: print, Content: idlepush.Content{Subject: print}}}, At: c.now})
	if err != nil {
		c.Fatal(err)
	}
	return n
}

// carrier brings mail to an account.
type carrier struct {
	testing.TB
	s       *Store
	account idlepush.Account
	now     time.Time
}

func recordMovedOften(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in := carrier{t, s, mailbox(t, s, someone(t, s, "ann"), "ann@example.org"), dawn}
	rang := 0
	for uid := range uint32(3 * maxTwins) {
		rang += in.found([]string{"INBOX", "Family"}[uid%2], 3, uid+1, "one")
	}
	if rang != 1 {
		t.Errorf("it rang %d times", rang)
	}
}

func recordMoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	phone(t, s, ann, "phone")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	in := carrier{t, s, a, dawn}
	for _, step := range []struct {
		what     string
		folder   string
		validity uint32
		uid      uint32
		print    string
		rings    int
	}{
		{"new", "INBOX", 7, 1, "one", 1},
		{"moved to another folder", "Family", 3, 9, "one", 0},
		{"and back", "INBOX", 7, 2, "one", 0},
		{"renumbered", "INBOX", 8, 1, "one", 0},
		{"another mail", "INBOX", 8, 2, "two", 1},
		{"of which nothing is known", "INBOX", 8, 3, "", 1},
		{"nor of this", "INBOX", 8, 4, "", 1},
		{"another mail under the UID of one that rang, as after a restored backup", "INBOX", 8, 2, "three", 1},
		{"the same again", "INBOX", 8, 2, "three", 0},
	} {
		if n := in.found(step.folder, step.validity, step.uid, step.print); n != step.rings {
			t.Errorf("%s: %d ring", step.what, n)
		}
	}
	if n := (carrier{t, s, b, dawn}).found("INBOX", 7, 1, "one"); n != 1 {
		t.Errorf("in another account: %d ring", n)
	}
	if uids, err := s.Mail.Announced(a.ID, "INBOX", 8); err != nil || !slices.Equal(uids, []uint32{1, 2, 3, 4}) {
		t.Errorf("in INBOX it knows of %v, %v", uids, err)
	}
	if uids, err := s.Mail.Announced(a.ID, "Family", 3); err != nil || len(uids) != 0 {
		t.Errorf("in Family it knows of %v, %v", uids, err)
	}
	if err := s.Purge(t.Context(), dawn.AddDate(0, 0, 7).Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if uids, err := s.Mail.Announced(a.ID, "INBOX", 8); err != nil || len(uids) != 0 {
		t.Errorf("beyond the activity that is kept it knows of %v, %v", uids, err)
	}
	in.now = dawn.AddDate(0, 0, 7)
	if n := in.found("INBOX", 8, 9, "one"); n != 1 {
		t.Errorf("a mail that is known no more: %d ring", n)
	}
}

// As from a camera without a clock: nothing tells the second from the first but that both are
// there.
func recordCameTwice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	phone(t, s, ann, "phone")
	a := mailbox(t, s, ann, "a@example.org")
	in := carrier{t, s, a, dawn}
	if n := in.found("INBOX", 7, 1, "one") + in.finds("INBOX", 7, Message{UID: 2, Fingerprint: "one", Twins: []uint32{1}}); n != 2 {
		t.Errorf("%d ring", n)
	}
	if uids, err := s.Mail.Announced(a.ID, "INBOX", 7); err != nil || !slices.Equal(uids, []uint32{1, 2}) {
		t.Errorf("it knows of %v, %v", uids, err)
	}
	clearMail(t, s, a, 1, 1)
	// The second has moved, not the first, which is there still.
	if n := in.found("Family", 3, 9, "one"); n != 0 {
		t.Errorf("moved, %d ring", n)
	}
	if n, moved, err := s.Mail.ClearRemoved(a.ID, "INBOX", 7, []uint32{2}, dawn); err != nil || n != 0 || moved != 1 {
		t.Errorf("%d were cleared and %d moved, %v", n, moved, err)
	}
	if uids, err := s.Mail.Announced(a.ID, "Family", 3); err != nil || !slices.Equal(uids, []uint32{9}) {
		t.Errorf("in Family it knows of %v, %v", uids, err)
	}
	if n, err := s.Mail.Clear(a.ID, "INBOX", 7, []uint32{2}, dawn); err != nil || n != 0 {
		t.Errorf("in INBOX %d are cleared, %v", n, err)
	}
}

func recordSameTwice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "a@example.org")
	look := arrival(t, s, a, 3, dawn)
	look.Mails[0].Fingerprint, look.Mails[1].Fingerprint, look.Mails[2].Fingerprint = "one", "two", "one"
	if n, err := s.Mail.Record(look); err != nil || n != 3 {
		t.Errorf("%d ring, %v", n, err)
	}
}

func recordCopyOfOld(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "a@example.org")
	look := arrival(t, s, a, 3, dawn)
	look.Mails[0].Fingerprint, look.Mails[1].Fingerprint, look.Mails[2].Fingerprint = "one", "two", "one"
	look.Mails[0].Old = true
	if n, err := s.Mail.Record(look); err != nil || n != 1 {
		t.Errorf("%d ring, %v", n, err)
	}
	if look.Mails[2].Old {
		t.Error("the caller's mails were changed")
	}
}

func recordSignals(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d := phone(t, s, ann, "phone")
	raised := func() bool {
		select {
		case <-s.Outbox.Changed():
			return true
		default:
			return false
		}
	}
	if _, err := s.Mail.Record(arrival(t, s, a, 0, dawn)); err != nil || raised() {
		t.Errorf("a look that found nothing raised the signal, %v", err)
	}
	arrive(t, s, a, 2, dawn)
	arrive(t, s, a, 1, dawn)
	if !raised() || raised() {
		t.Error("two arrivals do not merge into one signal")
	}
	drain(t, s, d, dawn)
	if raised() {
		t.Error("what the caller itself does is told to it")
	}
}
