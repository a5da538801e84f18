package promise

import (
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/receipt"
	"idlepush/registry"
)

// now is when the tests look; ago is a time before.
var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// well is a house in which all is well.
func well() House {
	return House{
		Awake: ago(10 * time.Hour), Looked: ago(time.Minute),
		Mailboxes: []Mailbox{{
			Account: idlepush.Account{ID: "account", Owner: "anna", SharedWith: []string{"ben"}, Email: "anna@example.org", Enabled: true,
				Status: idlepush.Status{State: idlepush.StateWatching, Since: ago(9 * time.Hour)}},
			Confirmed: ago(20 * time.Minute), Interval: 28 * time.Minute,
		}},
		Devices: []idlepush.Device{{ID: "phone", User: "anna", Name: "Pixel", Lane: "lane", Status: idlepush.Status{State: idlepush.StateProven, Since: ago(9 * time.Hour)}}},
	}
}

var (
	lost   = idlepush.Reason{Code: "connection_lost"}
	failed = idlepush.Reason{Code: "push_service_busy"}
)

func TestBroken(t *testing.T) {
	t.Parallel()
	mailbox := func(state idlepush.State, since time.Duration, r idlepush.Reason) func(*House) {
		return func(h *House) {
			h.Mailboxes[0].Status = idlepush.Status{State: state, Since: ago(since), Reason: r}
		}
	}
	device := func(st idlepush.Status) func(*House) { return func(h *House) { h.Devices[0].Status = st } }
	paused := func(since time.Duration) func(*House) {
		return func(h *House) {
			h.Paused = append(h.Paused, registry.Lane{Name: "lane", Since: ago(since), Until: now.Add(time.Minute), Reason: failed})
		}
	}
	failing := func(since time.Duration) func(*House) {
		return device(idlepush.Status{State: idlepush.StateProven, Failures: 3, Failing: ago(since), Reason: failed})
	}
	unconfirmed := func(since time.Duration) func(*House) {
		return func(h *House) {
			h.Devices[0].Chain = receipt.Chain{Receipt: receipt.Receipt{Shown: ago(48 * time.Hour)}, Unanswered: 3, Since: ago(since)}
		}
	}
	for name, c := range map[string]struct {
		change []func(*House)
		want   codes.Code // empty: nothing is broken
		since  time.Duration
		to     string // who sees it, beside nobody else; empty: all. Ben is an admin
	}{
		"all is well":                     {},
		"a mailbox just lost its server":  {change: []func(*House){mailbox(idlepush.StateRetrying, Patience-1, lost)}},
		"a mailbox lost its server":       {[]func(*House){mailbox(idlepush.StateRetrying, Patience, lost)}, mailboxDown, Patience, "anna ben"},
		"a mailbox wants a person":        {[]func(*House){mailbox(idlepush.StateAttention, time.Hour, lost)}, mailboxDown, time.Hour, "anna ben"},
		"a mailbox that nobody watches":   {change: []func(*House){mailbox(idlepush.StateRetrying, time.Hour, lost), func(h *House) { h.Mailboxes[0].Enabled = false }}},
		"a mailbox is new":                {change: []func(*House){mailbox(idlepush.StateNew, time.Minute, idlepush.Reason{}), func(h *House) { h.Mailboxes[0].Confirmed, h.Mailboxes[0].Interval = time.Time{}, 0 }}},
		"a mailbox stays new":             {[]func(*House){mailbox(idlepush.StateNew, time.Hour, idlepush.Reason{}), func(h *House) { h.Mailboxes[0].Confirmed, h.Mailboxes[0].Interval = time.Time{}, 0 }}, mailboxUnconfirmed, time.Hour, "anna ben"},
		"nothing confirms a mailbox":      {[]func(*House){func(h *House) { h.Mailboxes[0].Confirmed = ago(33 * time.Minute) }}, mailboxUnconfirmed, 33 * time.Minute, "anna ben"},
		"a confirmation is a moment late": {change: []func(*House){func(h *House) { h.Mailboxes[0].Confirmed = ago(33*time.Minute - 1) }}},
		"the machine has slept": {change: []func(*House){func(h *House) {
			h.Mailboxes[0].Confirmed, h.Looked, h.Awake = ago(time.Hour), ago(time.Hour), ago(time.Minute)
		}}},
		"the machine slept while a mailbox was down, and just woke": {change: []func(*House){mailbox(idlepush.StateRetrying, time.Hour, lost), func(h *House) { h.Awake = ago(time.Minute) }}},
		"the machine slept while pushes failed, and just woke":      {change: []func(*House){failing(time.Hour), func(h *House) { h.Awake = ago(time.Minute) }}},
		"the machine slept while a push service was paused":         {change: []func(*House){paused(time.Hour), func(h *House) { h.Awake = ago(time.Minute) }}},
		"a suspect device":                     {[]func(*House){device(idlepush.Status{State: idlepush.StateSuspect, Since: ago(time.Second), Reason: failed})}, deviceDown, time.Second, "anna"},
		"pushes to a device fail":              {[]func(*House){failing(Patience)}, deviceDown, Patience, "anna"},
		"pushes to a device just fail":         {change: []func(*House){failing(Patience - 1)}},
		"a device has stopped reporting":       {[]func(*House){unconfirmed(24 * time.Hour)}, receipt.CodeUnconfirmed, 24 * time.Hour, "anna"},
		"a device may report yet":              {change: []func(*House){unconfirmed(24*time.Hour - 1)}},
		"a device never had a push":            {change: []func(*House){device(idlepush.Status{State: idlepush.StateUnproven, Since: ago(time.Hour)})}},
		"what is due for a device waits":       {[]func(*House){func(h *House) { h.Devices[0].Due = ago(Patience) }}, deviceWaits, Patience, "anna"},
		"what is held for a device waits":      {change: []func(*House){func(h *House) { h.Devices[0].Due = now.Add(7 * time.Hour) }}},
		"a push service has just paused":       {change: []func(*House){paused(Patience - 1)}},
		"a push service is paused":             {[]func(*House){paused(Patience)}, serviceDown, Patience, "anna"},
		"devices wait for their push service":  {[]func(*House){paused(Patience), failing(time.Hour), func(h *House) { h.Devices[0].Due = ago(time.Hour) }}, serviceDown, Patience, "anna"},
		"a push service that nobody uses":      {change: []func(*House){paused(time.Hour), func(h *House) { h.Devices[0].Lane = "other" }}},
		"the store fails":                      {[]func(*House){func(h *House) { h.StoreDown = ago(1) }}, storeDown, 1, ""},
		"the disk is nearly full":              {[]func(*House){func(h *House) { h.DiskLow = ago(1) }}, diskLow, 1, "ben"},
		"a loop of the program is stuck":       {[]func(*House){func(h *House) { h.Looked = ago(Patience) }}, programStuck, Patience, ""},
		"a loop of the program takes its time": {change: []func(*House){func(h *House) { h.Looked = ago(Patience - 1) }}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := well()
			for _, change := range c.change {
				change(&h)
			}
			list := h.Broken(now)
			if c.want == "" {
				if len(list) > 0 {
					t.Fatalf("broken are %v", list)
				}
				return
			}
			if len(list) != 1 || list[0].Code != c.want || !list[0].Since.Equal(ago(c.since)) {
				t.Fatalf("broken are %v, want only %s since %v", list, c.want, ago(c.since))
			}
			seen := ""
			for _, user := range []string{"anna", "ben", "carl"} {
				if list[0].Concerns(user, user == "ben") {
					seen += " " + user
				}
			}
			if want := c.to; want == "" && seen != " anna ben carl" || want != "" && seen != " "+want {
				t.Errorf("it concerns%s", seen)
			}
			known := codes.Join(Codes, receipt.Codes, []codes.Entry{{Code: lost.Code, Text: "it was lost"}, {Code: failed.Code, Text: "it is busy"}})
			if err := known.Check(list[0].Code, list[0].Params); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBrokenOrder checks that what is broken for longest comes first.
func TestBrokenOrder(t *testing.T) {
	t.Parallel()
	h := well()
	h.StoreDown = ago(time.Minute)
	h.Mailboxes[0].Status = idlepush.Status{State: idlepush.StateRetrying, Since: ago(time.Hour), Reason: lost}
	list := h.Broken(now)
	if len(list) != 2 || list[0].Code != mailboxDown || list[1].Code != storeDown || list[0].Account != "account" {
		t.Errorf("broken are %v", list)
	}
}
