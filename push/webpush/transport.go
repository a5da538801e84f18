package webpush

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"idlepush"
	"idlepush/netguard"
	"idlepush/push"
)

// transport is one of the two transports. They differ in whether a push may show nothing.
type transport struct {
	*Sender
	traits push.Traits
}

// Transports returns the two transports that use s. Browsers must show something at every push
// (userVisibleOnly, W3C Push API), and apps of UnifiedPush distributors need not.
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

// Lane implements push.Transport: each origin is a service of its own, for both transports.
func (t transport) Lane(d idlepush.Device) string {
	u, err := url.Parse(string(d.Address))
	if err != nil || u.Host == "" {
		return string(Browser)
	}
	u.Host = strings.ToLower(u.Host)
	return string(Browser) + " " + origin(u)
}

// Service implements push.Transport.
func (t transport) Service(d idlepush.Device) string {
	u, err := url.Parse(string(d.Address))
	if err != nil {
		return ""
	}
	s, _ := serviceAt(strings.ToLower(u.Hostname()))
	return strings.TrimPrefix(s, ".")
}

// Examine implements push.Transport. There is no service that all devices share: it looks at the
// contact, for both transports.
func (t transport) Examine(context.Context) []idlepush.Step {
	switch {
	case t.traits.Name != Browser:
		return nil
	case CheckSubject(t.subject()) != nil:
		return []idlepush.Step{{Verdict: idlepush.VerdictLook, Reason: idlepush.Reason{Code: "webpush_examined_no_contact"}}}
	}
	return []idlepush.Step{{Verdict: idlepush.VerdictOK, Reason: idlepush.Reason{Code: "webpush_examined"}}}
}

// CloseIdleConnections implements push.Transport, for both transports.
func (t transport) CloseIdleConnections() {
	t.secure.CloseIdleConnections()
	t.plain.CloseIdleConnections()
}

// Check implements push.Transport. It accepts http: endpoints. Permit decides when they are dialed.
func (t transport) Check(d idlepush.Device) error {
	u, err := parseEndpoint(d.Address)
	if removed, ok := errors.AsType[endpointError](err); ok && removed == caseRemoved {
		return &push.FieldError{Field: "address", Reason: idlepush.Reason{Code: endpointRemoved}}
	}
	if err != nil || !netguard.IsHost(u.Hostname()) || u.Fragment != "" {
		return &push.FieldError{Field: "address", Reason: idlepush.Reason{Code: "webpush_endpoint_malformed"}}
	}
	return nil
}
