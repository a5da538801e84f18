package push

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

// household is two members: one whose devices are in order, and one with many that are not.
type household struct {
	*harness
	honest  []idlepush.Device // of the owner, one for each transport
	mailbox idlepush.Account  // of the owner
	theirs  idlepush.Account  // of the other
	bad     func(context.Context, sent) registry.Outcome
}

// inHousehold calls play in a bubble with a household whose dispatcher runs. The other's devices
// get the answers of bad.
func inHousehold(t *testing.T, bad func(context.Context, sent) registry.Outcome, play func(*household)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &household{harness: newHarness(t), bad: bad}
		h.mailbox = h.account
		for i, name := range []idlepush.Transport{"fcm", "apns", "webpush", "unifiedpush"} {
			h.honest = append(h.honest, h.on(name, "honest", origins[i]))
		}
		h.owner = h.other
		h.addAccount("ben")
		h.theirs = h.account
		h.answers(func(ctx context.Context, p sent) registry.Outcome {
			if p.device.User == h.other {
				return h.bad(ctx, p)
			}
			return accepted
		})
		h.run()
		play(h)
	})
}

// origins are those of the honest devices, by transport.
var origins = []string{"", "", "https://push.example", "https://ntfy.example"}

// on registers a device of that transport for h.owner.
func (h *household) on(name idlepush.Transport, device, origin string) idlepush.Device {
	return h.register(idlepush.Device{Name: device, Transport: name, Content: idlepush.LevelPreview,
		Address: idlepush.Secret(origin + "/planted-endpoint/" + device)})
}

// mailTo records n mails in the account.
func (h *household) mailTo(a idlepush.Account, n int) []string {
	h.account = a
	return h.mail(n)
}

// live lets about n seconds pass. Both members get mail every third second or so. It fails the test
// unless every mail is sent to each honest device within a second.
func (h *household) live(n int) {
	h.Helper()
	random, came := testenv.Rand(h), make(map[string]time.Time)
	for i := range n {
		if i%3 == 0 {
			h.mailTo(h.theirs, 1)
		}
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		if random.IntN(3) == 0 {
			came[h.mailTo(h.mailbox, 1)[0]] = time.Now()
		}
		time.Sleep(500 * time.Millisecond)
	}
	after(time.Second)
	got, late := make(map[string]int), make(map[string]time.Duration)
	for _, p := range h.sends() {
		if at, ok := came[p.message.ID]; ok {
			got[p.device.ID]++
			late[p.device.ID] = max(late[p.device.ID], p.at.Sub(at))
		}
	}
	for _, d := range h.honest {
		if got[d.ID] != len(came) || late[d.ID] >= time.Second {
			h.Errorf("%s: %d of %d mails were sent, one of them after %v", d.Transport, got[d.ID], len(came), late[d.ID])
		}
	}
}

// answer returns a service that always gives that answer, after the wait.
func answer(wait time.Duration, o registry.Outcome) func(context.Context, sent) registry.Outcome {
	return func(ctx context.Context, _ sent) registry.Outcome {
		if !pause(ctx, wait) {
			return retry()
		}
		return o
	}
}

// lying is a service that answers anything, at once, late or not at all.
func lying(ctx context.Context, p sent) registry.Outcome {
	list := []registry.Outcome{accepted, retry(), Unanswered("outage"), ourFault(), complaint(), refused()}
	switch o := list[rand.N(len(list))]; rand.N(6) {
	case 0:
		return hang(ctx, p)
	case 1:
		return answer(rand.N(29*time.Second), o)(ctx, p)
	default:
		return o
	}
}

// TestHousehold checks that what one member's devices do delays no mail of another member. But for
// the long tests each kind of answer comes from every other place: from two that share a lane, and
// one of many.
func TestHousehold(t *testing.T) {
	t.Parallel()
	type answering struct {
		name   string
		answer func(context.Context, sent) registry.Outcome
		flood  int // mails that wait from the beginning
	}
	for p, place := range []struct {
		name      string
		transport idlepush.Transport
		origin    func(i int) string
	}{
		{"FCM", "fcm", func(int) string { return "" }},
		{"APNs", "apns", func(int) string { return "" }},
		{"Web Push, at many services", "webpush", func(i int) string { return fmt.Sprintf("https://push%d.example", i) }},
		{"Web Push, at the same service", "webpush", func(int) string { return origins[2] }},
		{"UnifiedPush, at the same server", "unifiedpush", func(int) string { return origins[3] }},
		{"UnifiedPush, at many servers", "unifiedpush", func(i int) string { return fmt.Sprintf("https://ntfy.example:%d", 1000+i) }},
	} {
		for i, c := range []answering{
			{name: "hanging", answer: hang},
			{name: "accepting after 14 s", answer: answer(14*time.Second, accepted)},
			{name: "out of order", answer: answer(0, retry())},
			{name: "out of order after 9 s", answer: answer(9*time.Second, retry())},
			{name: "finding us at fault", answer: answer(0, ourFault())},
			{name: "finding us at fault, late", answer: answer(9*time.Second, ourFault())},
			{name: "unknown", answer: answer(0, complaint())},
			{name: "refusing the message", answer: answer(0, refused())},
			{name: "gone", answer: answer(time.Second, gone())},
			{name: "lying", answer: lying},
			{name: "with a backlog", answer: answer(time.Second, accepted), flood: testenv.Tenth(2000)},
			{name: "with a backlog, and hanging", answer: hang, flood: testenv.Tenth(2000)},
		} {
			if !testenv.Soak && (p+i)%2 != 0 {
				continue
			}
			t.Run(place.name+"/"+c.name, func(t *testing.T) {
				inHousehold(t, c.answer, func(h *household) {
					for i := range 50 { // as many as one person can have
						h.on(place.transport, fmt.Sprint("bad ", i), place.origin(i))
					}
					h.mailTo(h.theirs, c.flood)
					h.live(testenv.Tenth(600))
				})
			})
		}
	}
}

// TestBadDevices checks that one bad device of each kind on each transport costs nobody anything,
// not even the user whose devices they are.
func TestBadDevices(t *testing.T) {
	t.Parallel()
	answers := []func(context.Context, sent) registry.Outcome{hang, answer(14*time.Second, accepted), answer(0, retry()), answer(9*time.Second, retry()),
		answer(0, ourFault()), answer(0, complaint()), answer(0, refused()), answer(time.Second, gone())}
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprint("of the honest user: ", own), func(t *testing.T) {
			inHousehold(t, nil, func(h *household) {
				kinds := make(map[string]int) // by device
				h.answers(func(ctx context.Context, p sent) registry.Outcome {
					if kind, isBad := kinds[p.device.ID]; isBad {
						return answers[kind](ctx, p)
					}
					return accepted
				})
				if own {
					h.owner = h.honest[0].User
				}
				for i, d := range h.honest {
					for kind := range answers {
						kinds[h.on(d.Transport, fmt.Sprint("bad ", kind), origins[i]).ID] = kind
					}
				}
				h.live(testenv.Tenth(3000))
			})
		})
	}
}
