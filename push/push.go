// Package push drains the outbox: it decides how many deliveries ring and what they look like, and
// sends each to its device through its Transport. Of the packages around it, it knows only
// registry. A Dispatcher serves every device's queue in order, one delivery at a time per device
// and a bounded number at once over all. The answer of a service becomes one of the five outcomes
// of registry. If a lane fails as a whole, it is paused as a whole.
//
// The transports live in the packages below, each the only one that knows its service.
// push/pushtest holds strict stand-ins for the services.
package push

import (
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/ring"
)

// Message is one notification as one device may see it: everything in it is within the device's
// content level.
type Message struct {
	ID      string        // stable id: collapse id, tag, Topic
	Kind    idlepush.Kind // see OnlyClears
	Thread  string        // account id, for grouping on the phone; empty: none
	Expires time.Time     // transports send Until and TTL, which depend on it
	Silent  bool          // it shows without a sound, and need not come at once
	Loud    bool          // it breaks through the quiet of the phone, where its platform lets it
	Sound   string        // one that the app has, or NoSound; empty: that of the device
	Title   string        // what the phone shows, never empty if it shows something
	Mailbox string        // beside the title, if the person sees several mailboxes; or empty
	Body    string        // may be empty
	Neutral string        // may be sent in the clear at any level; never empty if Title is not
	Unread  *int          // the badge, 0 to 2147483647; nil: unknown, or not allowed
	Payload []byte        // the JSON object that apps receive
	URL     string        // opened by a click, absolute; empty: unknown

	source
}

// source is what a message was rendered from.
type source struct {
	work *registry.Work // for Smaller; nil: there is no smaller version
	page string         // URL of the page; empty: unknown
	text string         // what an attention says
	size int            // the index in sizes that this was rendered with
}

// NoSound is the sound of a silent message.
const NoSound = ring.None

// OnlyClears reports whether the message shows nothing, and takes notifications away. None does for
// a device with MustShow.
func (m Message) OnlyClears() bool { return m.Kind == idlepush.KindClear }

// Until returns the time until which the service may keep the message: Expires, but at most the
// lifetime of its kind from now. A clock that was ahead may have written a time so late that no
// service accepts it.
func (m Message) Until(now time.Time) time.Time {
	if latest := now.Add(m.Kind.Lifetime()); m.Expires.After(latest) {
		return latest
	}
	return m.Expires
}

// TTL returns the time from now to Until, in whole seconds; never less than 0.
func (m Message) TTL(now time.Time) time.Duration {
	return max(0, m.Until(now).Sub(now).Truncate(time.Second))
}
