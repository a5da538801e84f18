package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/push/pushtest"
	"idlepush/registry/testenv"
)

// pause lets less than most pass, at random.
func pause(random *rand.Rand, most time.Duration) {
	end := time.NewTimer(time.Duration(random.Int64N(int64(most))))
	<-end.C
}

func TestMailsInBurstsRingSixPhonesOnceEachInOrder(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	s := systemtest.NewScenario(t, itself(t))
	for mails := testenv.Tenth(200); len(s.Sent) < mails; {
		s.DeliverMails(t, max(5, mails/8))
		pause(random, 300*time.Millisecond)
	}
	s.WaitDelivered(t)
	s.CheckComplete(t)
	for phone, list := range s.MailPushes(t) {
		if len(list) != len(s.Sent) {
			t.Errorf("%s rang %d times for %d mails", phone, len(list), len(s.Sent))
		}
	}
	s.Stop(t)
	s.CheckNoSecrets(t, "Äpfel", "Größe", "Words of mail")
}

func TestNothingIsLostAndNothingRingsUnderTwoIDsHoweverOftenTheDaemonIsKilled(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	s := systemtest.NewScenario(t, itself(t))
	for kill := range testenv.Tenth(50) {
		before := s.Web.Requests()
		s.DeliverMails(t, 4)
		if kill%2 == 0 {
			// Dovecot tells of them 500 ms later, so this hits login, search, record, sends and
			// settling alike.
			pause(random, 900*time.Millisecond)
		} else {
			// A push is out and its outcome not yet written.
			testenv.Await(t, "a push is on its way", requests(s.Web.Requests, before+1))
		}
		s.Kill(t)
		s.Start(t)
	}
	s.WaitDelivered(t)
	s.Stop(t)
	s.CheckComplete(t)
	pushes, again := 0, 0
	for _, list := range s.MailPushes(t) {
		pushes += len(list)
		again += len(list) - len(systemtest.Unique(list))
	}
	t.Logf("%d pushes, %d of them again under the same id", pushes, again)
	s.CheckNoSecrets(t, "Äpfel", "Größe", "Words of mail")
}

// requests finds nothing wrong once a service has had so many.
func requests(service func() int, want int) func() error {
	return func() error {
		if n := service(); n < want {
			return fmt.Errorf("%d of %d requests", n, want)
		}
		return nil
	}
}

// tried waits until each service was sent more than the pushes that proved the six phones.
func tried(t *testing.T, s *systemtest.Scenario) {
	t.Helper()
	testenv.Await(t, "Web Push is tried", requests(s.Web.Requests, 3))
	testenv.Await(t, "APNs is tried", requests(s.APNs.Requests, 3))
	testenv.Await(t, "FCM is tried", requests(s.FCM.Requests, 4))
}

func heal(s *systemtest.Scenario) {
	s.FCM.ClearFaults()
	s.APNs.ClearFaults()
	s.Web.ClearFaults()
}

func TestPushServicesThatAreDownForAWhileLoseNothing(t *testing.T) {
	t.Parallel()
	s := systemtest.NewScenario(t, itself(t))
	s.FCM.Fail("", pushtest.Fault{Status: 503})
	s.APNs.Fail("", pushtest.Fault{Status: 503, Reason: "ServiceUnavailable"})
	s.Web.Fail("", pushtest.Fault{Status: 503})
	s.DeliverMails(t, 9)
	tried(t, s)
	s.Stop(t)
	s.Start(t)
	heal(s)
	s.WaitDelivered(t)
	s.CheckComplete(t)
}

// Each scenario is held to this when its test ends; here are all kinds of push that a day brings.
func TestNeitherGoogleNorAppleSeesASenderASubjectOrAWord(t *testing.T) {
	t.Parallel()
	s := systemtest.NewScenario(t, itself(t))
	s.DeliverMails(t, 6)
	s.WaitDelivered(t)
	s.Mail.Doveadm(t, s.Mailboxes[0], "flags", "add", `\Seen`, "mailbox", "INBOX", "all")
	// Its owner's other phones are told.
	s.FCM.Unregister(string(s.FCM.Messages()[0].Token))
	s.DeliverMails(t, 1)
	for _, kind := range []idlepush.Kind{idlepush.KindTest, idlepush.KindMail, idlepush.KindClear, idlepush.KindAttention} {
		testenv.Await(t, "both have brought a push of the kind "+string(kind), func() error {
			google, apple := s.FCM.Messages(), s.APNs.Messages()
			if !slices.ContainsFunc(google, func(m pushtest.FCMMessage) bool { return systemtest.DecodePush(t, m.Payload).Kind == string(kind) }) ||
				!slices.ContainsFunc(apple, func(m pushtest.APNsMessage) bool { return systemtest.DecodePush(t, m.Payload).Kind == string(kind) }) {
				return fmt.Errorf("Google has brought %d pushes and Apple %d, and not both one of these", len(google), len(apple))
			}
			return nil
		})
	}
}

// How long it may take is held where the waiting is: by push for the sends, and here by
// serveShutdownWaits.
func TestSIGTERMEndsTheDaemonWhileEveryServiceHangsWithNothingLost(t *testing.T) {
	t.Parallel()
	s := systemtest.NewScenario(t, itself(t))
	s.FCM.Fail("", pushtest.Fault{Hang: true})
	s.APNs.Fail("", pushtest.Fault{Hang: true})
	s.Web.Fail("", pushtest.Fault{Hang: true, Times: 1})
	s.DeliverMails(t, 6)
	tried(t, s)
	began := time.Now()
	s.Stop(t)
	t.Logf("it ended after %v", time.Since(began).Round(time.Millisecond))
	heal(s)
	s.Start(t)
	s.WaitDelivered(t)
	s.CheckComplete(t)
}

func TestMailReadOnAnotherClientIsTakenAwayFromJustThePhonesThatWereTold(t *testing.T) {
	t.Parallel()
	s := systemtest.NewScenario(t, itself(t))
	late := s.FCM.Messages()[0].Token
	s.FCM.Fail(string(late), pushtest.Fault{Status: 503})
	s.DeliverMails(t, 1)
	subject := s.Sent[0].Subject
	var id string
	testenv.Await(t, "all phones but one have rung", func() error {
		all := s.MailPushes(t)
		for _, list := range all {
			id = list[0].ID
		}
		if len(all) != len(s.Phones)-1 {
			return fmt.Errorf("%d have", len(all))
		}
		return nil
	})
	s.Mail.Doveadm(t, s.Mailboxes[0], "flags", "add", `\Seen`, "mailbox", "INBOX", "all")
	testenv.Await(t, "the phones that can are asked to take it away", func() error {
		if clears := s.ClearedIDs(t); len(clears) != 4 {
			return fmt.Errorf("asked are %v", clears)
		}
		return nil
	})
	s.FCM.ClearFaults()
	s.DeliverMails(t, 1)
	testenv.Await(t, "the next mail rings all phones", func() error {
		all := s.MailPushes(t)
		for phone, list := range all {
			if list[len(list)-1].Subject == subject {
				return fmt.Errorf("%s rang for the first at last", phone)
			}
		}
		if len(all) != len(s.Phones) {
			return fmt.Errorf("%d have rung", len(all))
		}
		return nil
	})
	for phone, ids := range s.ClearedIDs(t) {
		if len(ids) != 1 || ids[0] != id || phone == "firefox" || phone == s.Phones[late] {
			t.Errorf("%s is to take away %v, want %s and none on a browser or on a phone that was never told", phone, ids, id)
		}
	}
	if got := s.MailPushes(t)[s.Phones[late]]; len(got) != 1 || got[0].Subject == subject {
		t.Errorf("the phone that was not told rang for %+v", got)
	}
	s.Stop(t)
}
