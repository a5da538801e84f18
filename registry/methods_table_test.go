package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"idlepush"
	"idlepush/receipt"
	"idlepush/ring"
)

// calls are those of TestMethods: one for each thing that a method may
// do.
var calls = []call{
	{method: "Users.Accept", when: "for a person",
		do: func(f furnished) (any, error) {
			return two(f.s.Users.Accept(f.person, "carl", "his password", Visit{Name: "Safari"}, noon))
		}},
	{method: "Users.Accept", when: "for a device",
		do: func(f furnished) (any, error) { return two(f.s.Users.Accept(f.device, "", "", Visit{}, noon)) }},
	{method: "Accounts.Wishes",
		do: func(f furnished) (any, error) { return f.s.Accounts.Wishes(f.ben.ID, f.shared.ID) }},
	{method: "Accounts.SetWishes", reads: "queues 3",
		do: func(f furnished) (any, error) {
			return f.s.Accounts.SetWishes(f.ann.ID, f.shared.ID, ring.Wishes{Name: "Ann"}, noon)
		}},
	{method: "Accounts.Mute", reads: "queues 3",
		do: func(f furnished) (any, error) {
			return f.s.Accounts.Mute(f.ann.ID, f.shared.ID, ring.Mute{Of: ring.MuteMailbox}, noon)
		}},
	{method: "Accounts.Unmute", renews: wishes.Name(), reads: "queues 1",
		do: func(f furnished) (any, error) {
			w, err := f.s.Accounts.Wishes(f.ben.ID, f.shared.ID)
			if err != nil || len(w.Mutes) == 0 {
				return nil, err
			}
			return only(f.s.Accounts.Unmute(f.ben.ID, f.shared.ID, w.Mutes[0].ID, noon))
		}},
	{method: "Devices.Wishes",
		do: func(f furnished) (any, error) { return f.s.Devices.Wishes(f.tablet.ID) }},
	{method: "Devices.SetWishes", reads: "queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Devices.SetWishes(f.phone.ID, someDeviceWishes, noon)
		}},
	{method: "Accounts.Accept", reads: "asked 1, queues 1",
		do: func(f furnished) (any, error) { return only(f.s.Accounts.Accept(f.ann.ID, f.offer, noon)) }},
	{method: "Accounts.Decline", reads: "asked 1",
		do: func(f furnished) (any, error) { return only(f.s.Accounts.Decline(f.ann.ID, f.offer, noon)) }},
	{method: "Accounts.Leave", reads: "standings 1",
		do: func(f furnished) (any, error) { return only(f.s.Accounts.Leave(f.ben.ID, f.shared.ID, noon)) }},
	{method: "Accounts.Offers",
		do: func(f furnished) (any, error) { return f.s.Accounts.Offers(f.ann.ID) }},
	{method: "Accounts.Get", reads: "standings 1",
		do: func(f furnished) (any, error) { return f.s.Accounts.Get(f.shared.ID) }},
	{method: "Accounts.List", reads: "standings 2",
		do: func(f furnished) (any, error) { return f.s.Accounts.List() }},
	{method: "Mail.Accounts", reads: "standings 2",
		do: func(f furnished) (any, error) { return f.s.Mail.Accounts() }},
	{method: "Accounts.Clients",
		do: func(f furnished) (any, error) { return f.s.Accounts.Clients() }},
	{method: "Accounts.SetClient", renews: clients.Name(),
		do: func(f furnished) (any, error) {
			return only(f.s.Accounts.SetClient(idlepush.OAuthClient{Provider: "google", ID: "another"}))
		}},
	{method: "Accounts.Add", when: "that is there", reads: "asked 1, queues 1, standings 1",
		do: func(f furnished) (any, error) { f.own.Owner = f.ann.ID; return two(f.s.Accounts.Add(f.own, "", noon)) }},
	{method: "Accounts.Add", when: "that is new",
		do: func(f furnished) (any, error) {
			f.own.Username, f.own.OfferedTo = "new", nil
			return two(f.s.Accounts.Add(f.own, "", noon))
		}},
	{method: "Users.AddInvite",
		do: func(f furnished) (any, error) {
			return two(f.s.Users.AddInvite(f.ben.ID, InviteForPerson, true, "", noon))
		}},
	{method: "Logins.AddPasswordLink", reads: "queues 1",
		do: func(f furnished) (any, error) {
			return two(f.s.Logins.AddPasswordLink(f.ben.ID, f.ann.ID, "", noon))
		}},
	{method: "Logins.AddPasswordLinkOnServer", reads: "queues 1",
		do: func(f furnished) (any, error) { return two(f.s.Logins.AddPasswordLinkOnServer("ben", noon)) }},
	{method: "Logins.SetPassword", reads: "queues 1",
		do: func(f furnished) (any, error) {
			return two(f.s.Logins.SetPassword(f.link, "another", false, Visit{}, noon))
		}},
	{method: "Logins.SetPassword", when: "and ends devices", reads: "queues 1",
		do: func(f furnished) (any, error) {
			return two(f.s.Logins.SetPassword(f.link, "another", true, Visit{}, noon))
		}},
	{method: "Logins.AddToken",
		do: func(f furnished) (any, error) {
			return two(f.s.Logins.AddToken(f.ben.ID, "app", idlepush.ScopeDevice, "", noon))
		}},
	{method: "Users.Add",
		do: func(f furnished) (any, error) { return f.s.Users.Add("carl", "his password", false, "", "", noon) }},
	{method: "Mail.Announced",
		do: func(f furnished) (any, error) { return f.s.Mail.Announced(f.shared.ID, "INBOX", 7) }},
	{method: "Logins.Authenticate", when: "a script", forgives: 2,
		do: func(f furnished) (any, error) { return two(f.s.Logins.Authenticate(f.bearer, noon)) }},
	{method: "Logins.Authenticate", when: "a session that is used again",
		do:       func(f furnished) (any, error) { return two(f.s.Logins.Authenticate(f.session, noon)) },
		forgives: 2},
	{method: "Logins.Check",
		do: func(f furnished) (any, error) { return only(f.s.Logins.Check(f.ben.ID, f.bens.ID, noon)) }},
	{method: "Mail.Clear", when: "mail of which some is in a summary", reads: "deliveries 7, notifications 3, queues 3",
		do: func(f furnished) (any, error) {
			return f.s.Mail.Clear(f.shared.ID, "INBOX", 7, []uint32{2, 3}, noon)
		}},
	{method: "Mail.ClearRemoved", reads: "deliveries 7, notifications 3, queues 3",
		do: func(f furnished) (any, error) {
			return two(f.s.Mail.ClearRemoved(f.shared.ID, "INBOX", 7, []uint32{2, 3}, noon))
		}},
	{method: "Outbox.Combine", when: "mail", reads: "deliveries 5, notifications 5, notifications sealed 5, queues 1",
		do:     func(f furnished) (any, error) { return combineOwn(f, f.onBens) },
		before: func(f furnished) error { return holdOwn(f, f.onBens) }},
	{method: "Outbox.Combine", when: "mail behind a summary", reads: "deliveries 2, notifications 2, notifications sealed 2, queues 1",
		do:     func(f furnished) (any, error) { return combineOwn(f, f.onPhone) },
		before: func(f furnished) error { return holdOwn(f, f.onPhone) }},
	{method: "Mail.Cursor", reads: "cursors 1",
		do: func(f furnished) (any, error) { return f.s.Mail.Cursor(f.shared.ID, "INBOX") }},
	{method: "Devices.Get", reads: "queues 1",
		do: func(f furnished) (any, error) { return f.s.Devices.Get(f.page.ID) }},
	{method: "Devices.At", reads: "queues 1",
		do: func(f furnished) (any, error) { return f.s.Devices.At(f.page) }},
	{method: "Devices.Holds", when: "of two", reads: "queues 2",
		do: func(f furnished) (any, error) { return f.s.Devices.Holds([]string{f.phone.ID, f.page.ID}, noon) }},
	{method: "Devices.List", when: "of one", reads: "queues 3",
		do: func(f furnished) (any, error) { return f.s.Devices.List(f.ann.ID) }},
	{method: "Devices.List", when: "of all", reads: "queues 4",
		do: func(f furnished) (any, error) { return f.s.Devices.List("") }},
	{method: "Outbox.Due", reads: "lanes 3",
		do: func(f furnished) (any, error) { return f.s.Outbox.Due(dawn.Add(time.Minute), room(2), nil) }},
	{method: "Outbox.Due", when: "of probes", reads: "lanes 3, queues 3",
		do: func(f furnished) (any, error) { return f.s.Outbox.Due(dawn.Add(time.Hour), room(2), nil) }},
	{method: "Mail.EndLooks", when: "of which there are none",
		do: func(f furnished) (any, error) { return only(f.s.Mail.EndLooks(f.shared.ID)) }},
	{method: "Outbox.Evidence", reads: "lanes 1",
		do: func(f furnished) (any, error) { return f.s.Outbox.Evidence(f.phone.Lane, f.phone.ID) }},
	{method: "Mail.FillIn", when: "mail that was delivered", reads: "deliveries 4, notifications 1, notifications sealed 1, queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Mail.FillIn(f.shared.ID, "INBOX", 7, Message{UID: 7, Fingerprint: "three", Content: idlepush.Content{Subject: "three"}}, noon)
		}, before: furnished.wordless},
	{method: "Mail.FillIn", when: "mail that rang from another place", reads: "deliveries 4, notifications 2, queues 4",
		do: func(f furnished) (any, error) {
			return f.s.Mail.FillIn(f.shared.ID, "INBOX", 7, Message{UID: 7, Fingerprint: "two", Content: idlepush.Content{Subject: "two"}}, noon)
		}, before: furnished.wordless},
	{method: "Mail.FillIn", when: "mail that has words", reads: "notifications 1",
		do: func(f furnished) (any, error) {
			return f.s.Mail.FillIn(f.shared.ID, "INBOX", 7, Message{UID: 2, Fingerprint: "two"}, noon)
		}},
	{method: "Outbox.HastenDue", reads: "queues 3", halfway: "each lane stands by itself",
		do: func(f furnished) (any, error) { return only(f.s.Outbox.HastenDue(dawn.Add(-1))) }},
	{method: "Outbox.Decide", reads: "deliveries 5, notifications 5, notifications sealed 4, queues 1",
		do: func(f furnished) (any, error) {
			f.onBens.Decision = ring.Decision{Verdict: ring.Held, Until: noon.Add(time.Minute)}
			return only(f.s.Outbox.Decide(f.onBens, noon, decides(f.onBens.Decision)))
		}},
	{method: "Mail.Host", reads: "hosts 1",
		do: func(f furnished) (any, error) { return f.s.Mail.Host("imap.example.org:993") }},
	{method: "Mail.KnowsSender",
		do: func(f furnished) (any, error) { return f.s.Mail.KnowsSender(f.shared.ID, "ann@example.org") }},
	{method: "Users.Invite",
		do: func(f furnished) (any, error) { return two(f.s.Users.Invite(f.person, noon)) }},
	{method: "Users.Invites",
		do: func(f furnished) (any, error) { return f.s.Users.Invites(noon) }},
	{method: "Devices.Lanes", reads: "lanes 4",
		do: func(f furnished) (any, error) { return f.s.Devices.Lanes() }},
	{method: "Devices.LastProof", reads: "queues 2",
		do: func(f furnished) (any, error) { return f.s.Devices.LastProof(f.phone.Lane, "") }},
	{method: "Devices.Receive", reads: "deliveries 1, queues 1",
		do: func(f furnished) (any, error) {
			return only(f.s.Devices.Receive(f.received, receipt.Report{Opened: noon, Now: noon}, noon))
		}},
	{method: "Devices.Receive", when: "of a test push", reads: "queues 1",
		do: func(f furnished) (any, error) {
			return only(f.s.Devices.Receive(f.s.Outbox.TestReceipt(f.page.ID, noon), receipt.Report{Opened: noon, Now: noon}, noon))
		}},
	{method: "Devices.Receive", when: "of one that was unconfirmed", reads: "deliveries 1, queues 1",
		before: func(f furnished) error { return f.unconfirmed() },
		do: func(f furnished) (any, error) {
			return only(f.s.Devices.Receive(f.received, receipt.Report{Opened: noon, Now: noon}, noon))
		}},
	{method: "Devices.Trips", reads: "trips 1",
		do: func(f furnished) (any, error) { return f.s.Devices.Trips([]string{f.phone.ID, f.page.ID}) }},
	{method: "Mail.Level",
		do: func(f furnished) (any, error) { return two(f.s.Mail.Level(f.shared.ID)) }},
	{method: "Logins.Login",
		do: func(f furnished) (any, error) { return two(f.s.Logins.Login("ben", "password", Visit{}, noon)) }},
	{method: "Outbox.Next", when: "with what is taken away by the way", reads: "deliveries 1, lanes 1, notifications 2, notifications sealed 1, queues 1, standings 1",
		do: func(f furnished) (any, error) { return two(f.s.Outbox.Next(f.page.ID, noon)) }},
	{method: "Outbox.Next", when: "of a device without an environment", reads: "deliveries 1, lanes 1, notifications 1, notifications sealed 1, queues 1, standings 2",
		do: func(f furnished) (any, error) { return two(f.s.Outbox.Next(f.tablet.ID, noon)) }},
	{method: "Outbox.NextAfter", reads: "",
		do: func(f furnished) (any, error) {
			return two(f.s.Outbox.NextAfter(f.onBens, Outcome{Result: ResultDelivered}, noon))
		}},
	{method: "Outbox.Next", when: "of one that has nothing", reads: "queues 1",
		do: func(f furnished) (any, error) { return two(f.s.Outbox.Next(f.late.ID, noon)) }},
	{method: "Outbox.Next", when: "behind mail that has expired", reads: "deliveries 8, lanes 1, notifications 1, notifications sealed 1, queues 1, standings 2", halfway: "what is not to be sent any more stays dropped",
		do: func(f furnished) (any, error) { return two(f.s.Outbox.Next(f.tablet.ID, dawn.Add(73*time.Hour))) },
		before: func(f furnished) error {
			later := f.look(7, "three")
			later.At = dawn.AddDate(0, 0, 1)
			_, err := f.s.Mail.Record(later)
			return err
		}},
	{method: "Outbox.Next", when: "where all has expired", reads: "deliveries 3, queues 1", halfway: "what is not to be sent any more stays dropped",
		do: func(f furnished) (any, error) { return two(f.s.Outbox.Next(f.phone.ID, dawn.AddDate(0, 0, 8))) }},
	{method: "History.Get", reads: "deliveries 3, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) { return f.s.History.Get(f.ben.ID, f.mails[2], noon) }},
	{method: "History.Some", when: "of two, and one that she does not see", reads: "deliveries 6, notifications 2, notifications sealed 2",
		do: func(f furnished) (any, error) {
			return f.s.History.Some(f.ben.ID, []string{f.mails[2], "none", f.mails[1]}, noon)
		}},
	{method: "History.List", reads: "deliveries 22, notifications 9, notifications sealed 8",
		do: func(f furnished) (any, error) { return two(f.s.History.List(f.ann.ID, "", 50, noon)) }},
	{method: "Users.PublicURL",
		do: func(f furnished) (any, error) { return f.s.Users.PublicURL() }},
	{method: "Purge", when: "of nothing", reads: "asked 1, lanes 1", halfway: "each bounded step stands by itself",
		do: func(f furnished) (any, error) { return only(f.s.Purge(context.Background(), noon)) }},
	{method: "Purge", when: "of what is old", reads: "asked 1, deliveries 25, lanes 1, notifications 11, queues 3", halfway: "each bounded step stands by itself",
		do: func(f furnished) (any, error) { return only(f.s.Purge(context.Background(), dawn.AddDate(0, 0, 8))) }},
	{method: "Purge", when: "after the clock was ahead", reads: "asked 1, lanes 1, notifications 11", halfway: "each bounded step stands by itself",
		do: func(f furnished) (any, error) { return only(f.s.Purge(context.Background(), dawn.AddDate(0, 0, -8))) }},
	{method: "Purge", when: "of what was removed", reads: "asked 1, deliveries 24, lanes 1, notifications 9, queues 2, senders 1", halfway: "each bounded step stands by itself",
		do: func(f furnished) (any, error) { return only(f.s.Purge(context.Background(), noon)) },
		before: func(f furnished) error {
			return errors.Join(f.s.Accounts.Remove(f.shared.ID, noon), f.s.Devices.Remove(f.phone, ""))
		}},
	{method: "Outbox.ProbeLanes", reads: "lanes 4", halfway: "each lane stands by itself",
		do: func(f furnished) (any, error) { return only(f.s.Outbox.ProbeLanes(noon)) }},
	{method: "Outbox.Proved", reads: "lanes 1, queues 1",
		do: func(f furnished) (any, error) { return f.s.Outbox.Proved(f.phone, noon) }},
	{method: "Devices.Register", when: "that is there", reads: "queues 1",
		do: func(f furnished) (any, error) {
			f.phone.Name = "another"
			return two(f.s.Devices.Register(f.phone, "", noon))
		}},
	{method: "Devices.Register", when: "that is new",
		do: func(f furnished) (any, error) {
			f.phone.Address = "another"
			return two(f.s.Devices.Register(f.phone, "", noon))
		}},
	{method: "Devices.RegisterByAdmin", reads: "queues 3",
		do: func(f furnished) (any, error) {
			f.phone.Address = "another"
			return two(f.s.Devices.RegisterByAdmin(f.phone, noon))
		}},
	{method: "Mail.Grant",
		do: func(f furnished) (any, error) { return f.s.Mail.Grant(f.own) }},
	{method: "Mail.SetGrant",
		do: func(f furnished) (any, error) {
			return only(f.s.Mail.SetGrant(f.own.ID, "refresh token", "another"))
		}},
	{method: "Mail.PutHost",
		do: func(f furnished) (any, error) {
			return only(f.s.Mail.PutHost("imap.example.org:993", Host{MissedNews: 1}))
		}},
	{method: "MarkRestored",
		do: func(f furnished) (any, error) { return only(f.s.MarkRestored(noon)) }},
	{method: "Restored",
		do: func(f furnished) (any, error) { return f.s.Restored() }},
	{method: "ForgetRestored",
		do: func(f furnished) (any, error) { return only(f.s.ForgetRestored()) }},
	{method: "Ready",
		do: func(f furnished) (any, error) { return only(f.s.Ready()) }},
	{method: "Mail.Record", when: "new mail", reads: "cursors 1, queues 4, standings 1",
		do: func(f furnished) (any, error) { return f.s.Mail.Record(f.look(7, "three")) }},
	{method: "Mail.Record", when: "mail that was moved", reads: "cursors 1, notifications 1, standings 1",
		do: func(f furnished) (any, error) { return f.s.Mail.Record(f.look(7, "two")) }},
	{method: "Mail.Record", when: "mail that was recorded", reads: "cursors 1, notifications 1, standings 1",
		do: func(f furnished) (any, error) { return f.s.Mail.Record(f.look(2, "two")) }},
	{method: "Mail.Record", when: "another under the UID of one that was recorded", reads: "cursors 1, notifications 1, queues 4, standings 1",
		do: func(f furnished) (any, error) { return f.s.Mail.Record(f.look(2, "three")) }},
	{method: "Mail.Recorded", reads: "notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) {
			return f.s.Mail.Recorded(f.shared.ID, "INBOX", 7, []Message{{UID: 2, Fingerprint: "two"}})
		}},
	{method: "Accounts.Remove", reads: "queues 1, standings 1",
		do: func(f furnished) (any, error) { return only(f.s.Accounts.Remove(f.shared.ID, noon)) }},
	{method: "Devices.Remove", when: "with its session", reads: "queues 1",
		do: func(f furnished) (any, error) { return only(f.s.Devices.Remove(f.tablet, "")) }},
	{method: "Devices.Remove", when: "by its session", reads: "queues 1",
		do: func(f furnished) (any, error) { return only(f.s.Devices.Remove(f.tablet, f.bens.ID)) }},
	{method: "Users.RemoveInvite",
		do: func(f furnished) (any, error) { return only(f.s.Users.RemoveInvite(f.invite.ID)) }},
	{method: "Logins.LogOut", reads: "queues 1",
		do: func(f furnished) (any, error) { return only(f.s.Logins.LogOut(f.ben.ID, f.bens.ID)) }},
	{method: "Logins.RemoveSession", reads: "queues 1",
		do: func(f furnished) (any, error) { return only(f.s.Logins.RemoveSession(f.ben.ID, f.bens.ID, "")) }},
	{method: "Logins.RemoveToken",
		do: func(f furnished) (any, error) { return only(f.s.Logins.RemoveToken(f.ann.ID, f.script.ID, "")) }},
	{method: "Users.Remove", reads: "queues 1, standings 1",
		do: func(f furnished) (any, error) { return only(f.s.Users.Remove(f.ben.ID, noon)) }},
	{method: "Logins.Sessions",
		do: func(f furnished) (any, error) { return f.s.Logins.Sessions(f.ben.ID, noon) }},
	{method: "Mail.SetState", when: "a person is needed anew", reads: "deliveries 3, notifications 1, queues 4, standings 1",
		do: func(f furnished) (any, error) {
			return only(setState(f.s, f.shared, idlepush.StateAttention, "login", "Enter it again.", noon))
		}},
	{method: "Mail.SetState", when: "it works again", reads: "deliveries 3, notifications 1, queues 3, standings 1",
		do: func(f furnished) (any, error) {
			return only(setState(f.s, f.shared, idlepush.StateWatching, "", "", noon))
		}},
	{method: "Mail.SetState", when: "as before", reads: "standings 1",
		do: func(f furnished) (any, error) { return only(setState(f.s, f.shared, idlepush.StateNew, "", "", noon)) }},
	{method: "Mail.TryAgain", reads: "standings 1",
		do: func(f furnished) (any, error) { return f.s.Mail.TryAgain(f.shared, noon) }},
	{method: "Outbox.ClockWentBack",
		do: func(f furnished) (any, error) { return f.s.Outbox.ClockWentBack(noon) }},
	{method: "Mail.SetUnread", reads: "standings 1",
		do: func(f furnished) (any, error) { return only(f.s.Mail.SetUnread(f.shared.ID, 2)) }},
	{method: "Outbox.Settle", when: "delivered, with what is taken away by the way", reads: "deliveries 2, lanes 1, queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Outbox.Settle(f.onPage, Outcome{Result: ResultDelivered}, noon)
		}},
	{method: "Outbox.Settle", when: "delivered, which shows the environment", reads: "deliveries 1, lanes 1, queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Outbox.Settle(f.onBens, Outcome{Result: ResultDelivered, Learned: taught(sandbox)}, noon)
		}},
	{method: "Outbox.Settle", when: "delivered, which ends a pause", reads: "deliveries 1, lanes 1, queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Outbox.Settle(f.onPhone, Outcome{Result: ResultDelivered, LaneWorks: true}, noon)
		}},
	{method: "Outbox.Settle", when: "not delivered, which prolongs a pause", reads: "deliveries 1, lanes 1, queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Outbox.Settle(f.onPhone, Outcome{Result: ResultRetry, PauseFor: time.Minute, Reason: idlepush.Reason{Code: "busy"}}, noon)
		}},
	{method: "Outbox.Settle", when: "to be tried again", reads: "deliveries 1, lanes 1, queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Outbox.Settle(f.onPhone, Outcome{Result: ResultRetry, At: noon.Add(time.Minute), Reason: idlepush.Reason{Code: "busy"}}, noon)
		}},
	{method: "Outbox.Settle", when: "gone", reads: "deliveries 1, lanes 1, queues 3",
		do: func(f furnished) (any, error) {
			return f.s.Outbox.Settle(f.onPhone, Outcome{Result: ResultGone, Reason: idlepush.Reason{Code: "gone"}}, noon)
		}},
	{method: "Outbox.Settle", when: "delivered after it was read", reads: "deliveries 1, lanes 1, queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Outbox.Settle(f.cleared, Outcome{Result: ResultDelivered}, noon)
		}},
	{method: "Users.Setup", reads: "meta 1, meta sealed 1",
		do: func(f furnished) (any, error) {
			token, err := os.ReadFile(filepath.Join(f.s.dir, setupFile))
			if err != nil {
				return nil, err
			}
			return two(f.s.Users.Setup(strings.TrimSpace(string(token)), "carl", "his password", "https://push.example.org", &Visit{}, noon))
		}, before: func(f furnished) error {
			_, err := f.nobody().Users.SetupToken()
			return err
		}},
	{method: "Users.Setup", when: "is done",
		do: func(f furnished) (any, error) {
			_, _, err := f.s.Users.Setup("token", "carl", "his password", "", nil, noon)
			if errors.Is(err, ErrSetupDone) {
				err = nil
			}
			return nil, err
		}},
	{method: "Users.NeedsSetup",
		do: func(f furnished) (any, error) { return f.s.Users.NeedsSetup() }},
	{method: "Users.SetupToken", when: "before setup",
		do: func(f furnished) (any, error) { return f.s.Users.SetupToken() }, before: func(f furnished) error { f.nobody(); return nil }},
	{method: "Users.SetupToken", when: "after setup",
		do: func(f furnished) (any, error) { return f.s.Users.SetupToken() }},
	{method: "Logins.Tokens",
		do: func(f furnished) (any, error) { return f.s.Logins.Tokens(f.ann.ID) }},
	{method: "Accounts.SeenSince",
		do: func(f furnished) (any, error) { return f.s.Accounts.SeenSince(f.ben.ID, f.shared.ID) }},
	{method: "Accounts.Unread", reads: "standings 1",
		do: func(f furnished) (any, error) { return two(f.s.Accounts.Unread(f.shared.ID)) }},
	{method: "Accounts.Update", when: "its name", reads: "standings 1",
		do: func(f furnished) (any, error) {
			f.shared.Email = "club@example.org"
			return f.s.Accounts.Update(f.shared, noon)
		}},
	{method: "Accounts.Update", when: "its offers", reads: "queues 1, standings 1",
		do: func(f furnished) (any, error) {
			f.shared.SharedWith, f.shared.OfferedTo = nil, []string{f.ben.ID}
			return f.s.Accounts.Update(f.shared, noon)
		}},
	{method: "Accounts.UpdateChecked", reads: "standings 1",
		do: func(f furnished) (any, error) { return f.s.Accounts.UpdateChecked(f.shared, "", noon, noon) }},
	{method: "Accounts.UpdateByAdmin", reads: "queues 3, standings 1",
		do: func(f furnished) (any, error) { return f.s.Accounts.UpdateByAdmin(f.shared, noon, noon) }},
	{method: "Accounts.AddByAdmin", reads: "queues 1",
		do: func(f furnished) (any, error) {
			f.own.Username, f.own.OfferedTo = "new", nil
			return two(f.s.Accounts.AddByAdmin(f.own, noon))
		}},
	{method: "Accounts.RemoveByAdmin", reads: "queues 1, standings 1",
		do: func(f furnished) (any, error) { return only(f.s.Accounts.RemoveByAdmin(f.own.ID, noon)) }},
	{method: "Accounts.Update", when: "to another mailbox", reads: "standings 1",
		do: func(f furnished) (any, error) { f.shared.Username = "club"; return f.s.Accounts.Update(f.shared, noon) }},
	{method: "Devices.Update", reads: "queues 1",
		do: func(f furnished) (any, error) {
			f.tablet.Address = "another"
			return f.s.Devices.Update(f.tablet, noon)
		}},
	{method: "Devices.UpdateAs", reads: "queues 1",
		do: func(f furnished) (any, error) {
			f.tablet.Name = "another"
			return f.s.Devices.UpdateAs(f.tablet, f.tablet.By, noon)
		}},
	{method: "Devices.UpdateByAdmin", reads: "queues 1",
		do: func(f furnished) (any, error) {
			f.tablet.Address = "another"
			return f.s.Devices.UpdateByAdmin(f.tablet, noon)
		}},
	{method: "Users.UpdateOwn", when: "the name",
		do: func(f furnished) (any, error) {
			return f.s.Users.UpdateOwn(f.ben.ID, Proof{}, UserPatch{Name: "carl"}, noon)
		}},
	{method: "Users.UpdateOwn", when: "the password",
		do: func(f furnished) (any, error) {
			return f.s.Users.UpdateOwn(f.ben.ID, Proof{Password: "password"}, UserPatch{Password: "another"}, noon)
		}},
	{method: "Logins.AddTokenByAdmin", reads: "queues 1",
		do: func(f furnished) (any, error) { return two(f.s.Logins.AddTokenByAdmin(f.ben.ID, "app", noon)) }},
	{method: "Logins.Prove", when: "by the password",
		do: func(f furnished) (any, error) {
			return only(f.s.Logins.Prove(f.ben.ID, f.bens.ID, Proof{Password: "password"}, noon))
		}},
	{method: "Logins.Prove", when: "by a passkey",
		do: func(f furnished) (any, error) {
			return only(f.s.Logins.Prove(f.ben.ID, f.bens.ID, Proof{Passkey: &Passkey{Credential: f.passkey.Credential}}, noon))
		}},
	{method: "Logins.AddPasskey", reads: "queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Logins.AddPasskey(f.ben.ID, passkeyFor("another"), f.bens.ID, noon)
		}},
	{method: "Logins.LoginByPasskey",
		do: func(f furnished) (any, error) {
			return two(f.s.Logins.LoginByPasskey(f.ben.ID, Passkey{Credential: f.passkey.Credential}, Visit{}, noon))
		}},
	{method: "Logins.Passkeys",
		do: func(f furnished) (any, error) { return two(f.s.Logins.Passkeys(f.ben.ID)) }},
	{method: "Logins.RenamePasskey",
		do: func(f furnished) (any, error) {
			return only(f.s.Logins.RenamePasskey(f.ben.ID, f.passkey.ID, "stick"))
		}},
	{method: "Logins.RemovePasskey",
		do: func(f furnished) (any, error) {
			return only(f.s.Logins.RemovePasskey(f.ben.ID, f.passkey.ID, "", ""))
		}},
	{method: "Logins.SetOnlyPasskeys", reads: "queues 1",
		do: func(f furnished) (any, error) {
			return only(f.s.Logins.SetOnlyPasskeys(f.ben.ID, true, Proof{Password: "password"}, noon))
		}},
	{method: "Users.Update", when: "to be no admin",
		do: func(f furnished) (any, error) { return f.s.Users.Update(f.ben.ID, UserPatch{Admin: new(bool)}, noon) }},
	{method: "Users.Update", when: "to be an admin",
		do: func(f furnished) (any, error) { return f.s.Users.Update(f.ben.ID, UserPatch{Admin: new(true)}, noon) }},
	{method: "Logins.Guess", reads: "guesses 1",
		do: func(f furnished) (any, error) {
			return f.s.Logins.Guess(f.ann.ID, func(paid time.Time) (time.Time, time.Duration) { return paid.Add(time.Second), 0 })
		}},
	{method: "Logins.Recognize",
		do: func(f furnished) (any, error) { return two(f.s.Logins.Recognize("ben", "browser")) }},
	{method: "Logins.Remember",
		do: func(f furnished) (any, error) { return f.s.Logins.Remember(f.ben.ID, "browser") }},
	{method: "Users.Notice",
		do: func(f furnished) (any, error) { return f.s.Users.Notice(f.ben.ID) }},
	{method: "Users.Dismiss",
		do: func(f furnished) (any, error) { return only(f.s.Users.Dismiss(f.ben.ID, noon)) }, before: furnished.noticed},
	{method: "Outbox.Settle", when: "the last that is gone", reads: "deliveries 1, lanes 1, queues 1",
		do: func(f furnished) (any, error) {
			return f.s.Outbox.Settle(f.onBens, Outcome{Result: ResultGone, Reason: idlepush.Reason{Code: "gone"}}, noon)
		}},
	{method: "Users.Get",
		do: func(f furnished) (any, error) { return f.s.Users.Get(f.ben.ID) }},
	{method: "Users.Damaged",
		do: func(f furnished) (any, error) { return f.s.Users.Damaged() }},
	{method: "Users.List",
		do: func(f furnished) (any, error) { return f.s.Users.List() }},
	{method: "Mail.Twins", reads: "notifications 1",
		do: func(f furnished) (any, error) { return f.s.Mail.Twins(f.shared.ID, "INBOX", 7, []string{"two"}) }},
	{method: "Outbox.OldMail", reads: "notifications 1", before: furnished.silent,
		do: func(f furnished) (any, error) { list, err := f.s.Outbox.OldMail(); return len(list), err }},
	{method: "Outbox.RingOld", reads: "notifications 4, queues 4", halfway: "what does not fit one transaction takes several", before: furnished.silent,
		do: func(f furnished) (any, error) { return only(f.decide(f.s.Outbox.RingOld)) }},
	{method: "Outbox.SumUpOld", reads: "notifications 4, queues 4", halfway: "what does not fit one transaction takes several", before: furnished.silent,
		do: func(f furnished) (any, error) { return only(f.decide(f.s.Outbox.SumUpOld)) }},
	{method: "Outbox.Backlog",
		do: func(f furnished) (any, error) {
			waits, held, _, err := f.s.Outbox.Backlog()
			return [2]int{waits, held}, err
		}},
	{method: "Outbox.Excess", reads: "notifications 1", before: furnished.excess,
		do: func(f furnished) (any, error) { list, err := f.s.Outbox.Excess(); return len(list), err }},
	{method: "Outbox.RingExcess", reads: "notifications 1, queues 4", before: furnished.excess,
		do: func(f furnished) (any, error) { return only(f.ringExcess()) }},
	{method: "Outbox.Heartbeats",
		do: func(f furnished) (any, error) { return f.s.Outbox.Heartbeats() }},
	{method: "Outbox.RingHeartbeat", reads: "deliveries 19, notifications 9, queues 1",
		do: func(f furnished) (any, error) {
			return only(f.s.Outbox.RingHeartbeat(f.phone.ID, ring.EveryDay, "2026-11-30", noon.Add(-24*time.Hour), noon))
		}},
	{method: "Users.SetTroubles", when: "a new one", reads: "queues 2",
		do: func(f furnished) (any, error) { return only(f.s.Users.SetTroubles(f.trouble(), noon)) }},
	{method: "Users.SetTroubles", when: "as before", before: furnished.troubled,
		do: func(f furnished) (any, error) { return only(f.s.Users.SetTroubles(f.trouble(), noon)) }},
	{method: "Users.SetTroubles", when: "it is over", before: furnished.troubled,
		do: func(f furnished) (any, error) { return only(f.s.Users.SetTroubles(nil, noon)) }},
	{method: "Probe",
		do: func(f furnished) (any, error) { f.s.Probe(noon); return nil, f.s.Ready() }},
	{method: "Outbox.Withdraw", reads: "deliveries 2, notifications 1, queues 2", halfway: "what does not fit one transaction takes several", before: furnished.over,
		do: func(f furnished) (any, error) { return only(f.s.Outbox.Withdraw(noon)) }},
	{method: "Outbox.VAPIDKey", reads: "meta 1, meta sealed 1",
		do: func(f furnished) (any, error) { return f.s.Outbox.VAPIDKey() }},
	{method: "Mail.Wordless", reads: "notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) { return f.s.Mail.Wordless(f.shared.ID, noon) }, before: furnished.wordless},
}

// holdOwn holds what waits as in the run that recorded it.
func holdOwn(f furnished, w Work) error {
	f.s.inFlight.before = nil
	return holdWork(f.s, w, noon.Add(time.Hour), noon)
}

// combineOwn combines what holdOwn has held.
func combineOwn(f furnished, w Work) (int, error) {
	f.s.inFlight.before = nil
	w.subqueue.subqueue += heldBack
	return f.s.Outbox.Combine(w, noon, rings)
}
