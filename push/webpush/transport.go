package webpush

import (
	"net/url"

	"idlepush/push"
	"idlepush/registry"
)

// transport is one of the two: they differ in whether a push may show nothing.
type transport struct {
	*Sender
	traits push.Traits
}

// Transports returns those that send by s: to browsers, which must show something at every push
// (userVisibleOnly, W3C Push API), and to the apps of UnifiedPush distributors, which need not.
func (s *Sender) Transports() push.Transports {
	return push.Transports{
		transport{s, push.Traits{Name: Browser, Subscription: true, MustShow: true, Meanings: meanings}},
		transport{s, push.Traits{Name: UnifiedPush, Subscription: true, Meanings: meanings}},
	}
}

var meanings = []push.Meaning{
	{Name: "Topic", Words: "the id of the notification"},
	{Name: "Urgency", Words: "how urgent it is"},
	{Name: "Ttl", Words: "how many seconds it may be kept"},
}

// Traits implements push.Transport.
func (t transport) Traits() push.Traits { return t.traits }

// Lane implements push.Transport: each origin is a service of its own, whoever subscribes there.
func (t transport) Lane(d registry.Device) string {
	if d.Subscription == nil {
		return string(Browser)
	}
	u, err := url.Parse(string(d.Subscription.Endpoint))
	if err != nil {
		return string(Browser)
	}
	return string(Browser) + " " + u.Scheme + "://" + u.Host
}

// Check implements push.Transport.
func (t transport) Check(registry.Device) error { return nil }
