package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"idlepush/cmd/idlepush/street"
	"idlepush/push/pushtest"
	"idlepush/registry"
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
	h := street.NewHousehold(t, itself(t))
	for mails := testenv.Tenth(200); len(h.Letters) < mails; {
		h.Write(t, max(5, mails/8))
		pause(random, 300*time.Millisecond)
	}
	h.WaitAll(t)
	h.Complete(t)
	for phone, list := range h.Rang(t) {
		if len(list) != len(h.Letters) {
			t.Errorf("%s rang %d times for %d mails", phone, len(list), len(h.Letters))
		}
	}
	h.Stop(t)
	h.NoSecrets(t, "Äpfel", "Größe", "Words of mail")
}

func TestNothingIsLostAndNothingRingsUnderTwoIDsHoweverOftenTheDaemonIsKilled(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	h := street.NewHousehold(t, itself(t))
	for kill := range testenv.Tenth(50) {
		before := h.Web.Requests()
		h.Write(t, 4)
		if kill%2 == 0 {
			// Dovecot tells of them 500 ms later, so this hits login, search, record, sends and settling alike.
			pause(random, 900*time.Millisecond)
		} else {
			// A push is out and its outcome not yet written.
			testenv.Await(t, "a push is on its way", requests(h.Web.Requests, before+1))
		}
		h.Kill(t)
		h.Start(t)
	}
	h.WaitAll(t)
	h.Stop(t)
	h.Complete(t)
	pushes, again := 0, 0
	for _, list := range h.Rang(t) {
		pushes += len(list)
		again += len(list) - len(street.Once(list))
	}
	t.Logf("%d pushes, %d of them again under the same id", pushes, again)
	h.NoSecrets(t, "Äpfel", "Größe", "Words of mail")
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
func tried(t *testing.T, h *street.Household) {
	t.Helper()
	testenv.Await(t, "Web Push is tried", requests(h.Web.Requests, 3))
	testenv.Await(t, "APNs is tried", requests(h.APNs.Requests, 3))
	testenv.Await(t, "FCM is tried", requests(h.FCM.Requests, 4))
}

func heal(h *street.Household) {
	h.FCM.Heal()
	h.APNs.Heal()
	h.Web.Heal()
}

func TestPushServicesThatAreDownForAWhileLoseNothing(t *testing.T) {
	t.Parallel()
	h := street.NewHousehold(t, itself(t))
	h.FCM.Fail("", pushtest.Fault{Status: 503})
	h.APNs.Fail("", pushtest.Fault{Status: 503, Reason: "ServiceUnavailable"})
	h.Web.Fail("", pushtest.Fault{Status: 503})
	h.Write(t, 9)
	tried(t, h)
	h.Stop(t)
	h.Start(t)
	heal(h)
	h.WaitAll(t)
	h.Complete(t)
}

// Each household is held to this when its test ends; here are all kinds of push that a day brings.
func TestNeitherGoogleNorAppleSeesASenderASubjectOrAWord(t *testing.T) {
	t.Parallel()
	h := street.NewHousehold(t, itself(t))
	h.Write(t, 6)
	h.WaitAll(t)
	h.Mail.Doveadm(t, h.Mailboxes[0], "flags", "add", `\Seen`, "mailbox", "INBOX", "all")
	h.Mail.AddUser(t, h.Mailboxes[1], "another")
	h.Mail.DropConnections(t, h.Mailboxes[1])
	for _, kind := range []registry.Kind{registry.TestKind, registry.MailKind, registry.ClearKind, registry.AttentionKind} {
		testenv.Await(t, "both have brought a push of the kind "+string(kind), func() error {
			google, apple := h.FCM.Messages(), h.APNs.Messages()
			if !slices.ContainsFunc(google, func(m pushtest.FCMMessage) bool { return street.Decode(t, m.Payload).Kind == string(kind) }) ||
				!slices.ContainsFunc(apple, func(m pushtest.APNsMessage) bool { return street.Decode(t, m.Payload).Kind == string(kind) }) {
				return fmt.Errorf("Google has brought %d pushes and Apple %d, and not both one of these", len(google), len(apple))
			}
			return nil
		})
	}
}

// How long it may take is held where the waiting is: by push for the sends, and here by TestARequestThatDoesNotEndKeepsTheDaemonForEightSeconds.
func TestSIGTERMEndsTheDaemonWhileEveryServiceHangsWithNothingLost(t *testing.T) {
	t.Parallel()
	h := street.NewHousehold(t, itself(t))
	h.FCM.Fail("", pushtest.Fault{Hang: true})
	h.APNs.Fail("", pushtest.Fault{Hang: true})
	h.Web.Fail("", pushtest.Fault{Hang: true, Times: 1})
	h.Write(t, 6)
	tried(t, h)
	began := time.Now()
	h.Stop(t)
	t.Logf("it ended after %v", time.Since(began).Round(time.Millisecond))
	heal(h)
	h.Start(t)
	h.WaitAll(t)
	h.Complete(t)
}

func TestMailReadOnAnotherClientIsTakenAwayFromJustThePhonesThatWereTold(t *testing.T) {
	t.Parallel()
	h := street.NewHousehold(t, itself(t))
	late := h.FCM.Messages()[0].Token
	h.FCM.Fail(string(late), pushtest.Fault{Status: 503})
	h.Write(t, 1)
	subject := h.Letters[0].Subject
	var id string
	testenv.Await(t, "all phones but one have rung", func() error {
		all := h.Rang(t)
		for _, list := range all {
			id = list[0].ID
		}
		if len(all) != len(h.Phones)-1 {
			return fmt.Errorf("%d have", len(all))
		}
		return nil
	})
	h.Mail.Doveadm(t, h.Mailboxes[0], "flags", "add", `\Seen`, "mailbox", "INBOX", "all")
	testenv.Await(t, "the phones that can are asked to take it away", func() error {
		if clears := h.Clears(t); len(clears) != 4 {
			return fmt.Errorf("asked are %v", clears)
		}
		return nil
	})
	h.FCM.Heal()
	h.Write(t, 1)
	testenv.Await(t, "the next mail rings all phones", func() error {
		all := h.Rang(t)
		for phone, list := range all {
			if list[len(list)-1].Subject == subject {
				return fmt.Errorf("%s rang for the first at last", phone)
			}
		}
		if len(all) != len(h.Phones) {
			return fmt.Errorf("%d have rung", len(all))
		}
		return nil
	})
	for phone, ids := range h.Clears(t) {
		if len(ids) != 1 || ids[0] != id || phone == "firefox" || phone == h.Phones[late] {
			t.Errorf("%s is to take away %v, want %s and none on a browser or on a phone that was never told", phone, ids, id)
		}
	}
	if got := h.Rang(t)[h.Phones[late]]; len(got) != 1 || got[0].Subject == subject {
		t.Errorf("the phone that was not told rang for %+v", got)
	}
	h.Stop(t)
}
