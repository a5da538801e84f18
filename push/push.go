// Package push drains the outbox: it decides how many deliveries ring and what they look like, and
// brings each to its device through its Transport. It knows only registry. A Dispatcher serves
// every device's queue in order, one delivery at a time per device and a bounded number at once
// over all. What a service answers becomes one of the five outcomes of registry, and a lane that
// fails as a whole is paused as a whole.
//
// The transports live in the packages below, each the only one that knows its service.
// push/pushtest holds strict stand-ins for the services.
package push

import (
	"time"

	"idlepush/registry"
)

// Message is one notification as one device may see it: everything in it is within the device's
// content level.
type Message struct {
	ID      string        // stable id: collapse id, tag, Topic
	Kind    registry.Kind // decides urgency
	Thread  string        // account id, for grouping on the phone; empty: none
	Expires time.Time     // sent on as TTL, apns-expiration, ttl, by way of Until
	Silent  bool          // it only takes away: Title, Body and Neutral are empty; not if MustShow
	Title   string        // what the phone shows, never empty
	Body    string        // may be empty
	Neutral string        // may be shown in the clear at any level; never empty
	Unread  *int          // the badge, 0 to 2147483647; nil: not known, or not allowed
	Payload []byte        // the JSON object that apps receive
	URL     string        // where a click leads, absolute; empty: not known

	work *registry.Work // what Smaller renders again; nil: that is not known
	home string         // where the page is
	room int            // the index in rooms that this was rendered with
}

// Until returns the time up to which the service may keep the message: until it expires, but no
// longer from now than its kind lives. A clock that was ahead and was set back has written times
// that no service takes.
func (m Message) Until(now time.Time) time.Time {
	if most := now.Add(m.Kind.Lifetime()); m.Expires.After(most) {
		return most
	}
	return m.Expires
}

// TTL returns how long that is from now, in whole seconds; never less than 0.
func (m Message) TTL(now time.Time) time.Duration {
	return max(0, m.Until(now).Sub(now).Truncate(time.Second))
}
