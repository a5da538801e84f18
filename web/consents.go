package web

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"idlepush"
)

// A consent waits for its person for consentLifetime, and once it is ready, for its use. At most
// maxConsents are kept, and maxConsentsOf of them of one person.
const (
	consentLifetime = 10 * time.Minute
	maxConsents     = 1000
	maxConsentsOf   = 5
)

// consentState is how far a consent has come.
type consentState string

const (
	consentWaiting consentState = "waiting"
	consentReady   consentState = "ready"
	consentFailed  consentState = "failed"
)

// consent is that of a person to the use of one mailbox, which the person gives at its provider. It
// is kept in memory only.
type consent struct {
	id      string
	secret  string           // the state of RFC 6749 section 4.1.1; empty: the person enters a code
	user    string           // the person who began it
	by      string           // the session or token in which
	mailbox idlepush.Account // that the sign-in must open; without an ID for a new account
	signIn  SignIn

	// consents.mu guards the rest.
	state    consentState
	expires  time.Time
	answered bool               // the person's browser has come back
	stop     context.CancelFunc // ends its requests to the provider; may be nil
	refresh  idlepush.Secret    // once it is ready
	check    Check              // once it is ready
	wrong    *CheckError        // once it has failed
}

// errNoConsent reports that there is no such consent, or no longer.
var errNoConsent = errors.New("no such consent")

// errOtherSession reports that another session has begun the consent.
var errOtherSession = errors.New("the consent was begun by another session")

// consents holds those that are not used yet. It forgets the oldest of too many, so that abandoned
// ones keep nobody out.
type consents struct {
	mu   sync.Mutex
	list []*consent // oldest first
}

// add keeps a consent, which waits from now on.
func (l *consents) add(c *consent, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.id, c.state, c.expires = strings.ToLower(rand.Text()), consentWaiting, now.Add(consentLifetime)
	if end := c.signIn.Expires; !end.IsZero() && end.Before(c.expires) {
		c.expires = end
	}
	l.drop(func(c *consent) bool { return !now.Before(c.expires) })
	of := func(other *consent) bool { return other.user == c.user }
	same := 0
	for _, other := range l.list {
		if of(other) {
			same++
		}
	}
	if same >= maxConsentsOf {
		l.dropFirst(of)
	}
	if len(l.list) >= maxConsents {
		l.dropFirst(func(*consent) bool { return true })
	}
	l.list = append(l.list, c)
}

func (l *consents) dropFirst(of func(*consent) bool) {
	first := l.list[slices.IndexFunc(l.list, of)]
	l.drop(func(c *consent) bool { return c == first })
}

// drop removes consents, and ends their requests.
func (l *consents) drop(which func(*consent) bool) {
	l.list = slices.DeleteFunc(l.list, func(c *consent) bool {
		gone := which(c)
		if gone && c.stop != nil {
			c.stop()
		}
		return gone
	})
}

// get returns a copy of the person's consent of that id.
func (l *consents) get(id, user string, now time.Time) (consent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.list {
		if c.id == id && c.user == user && now.Before(c.expires) {
			return *c, nil
		}
	}
	return consent{}, errNoConsent
}

// take removes the person's consent of that id and returns it, so that it is used once. It returns
// errNoConsent if it is not ready.
func (l *consents) take(id, user string, now time.Time) (consent, error) {
	c, err := l.get(id, user, now)
	if err == nil && c.state != consentReady {
		err = errNoConsent
	}
	if err != nil {
		return consent{}, err
	}
	if err := l.remove(id, user, now); err != nil {
		return consent{}, err // another request was faster
	}
	return c, nil
}

// giveBack keeps a consent again whose use has failed.
func (l *consents) giveBack(c consent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, &c)
}

// remove ends the person's consent of that id.
func (l *consents) remove(id, user string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.list)
	l.drop(func(c *consent) bool { return c.id == id && c.user == user && now.Before(c.expires) })
	if len(l.list) == before {
		return errNoConsent
	}
	return nil
}

// answer returns the consent with that secret, once, to the session that has begun it.
func (l *consents) answer(secret, by string, now time.Time) (*consent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.list, func(c *consent) bool {
		return secret != "" && c.secret == secret && !c.answered && now.Before(c.expires)
	})
	switch {
	case i < 0:
		return nil, errNoConsent
	case l.list[i].by != by:
		return nil, errOtherSession
	}
	l.list[i].answered = true
	return l.list[i], nil
}

// begin notes that something goes on for a consent, which stop ends. It returns until when, or an
// error if the consent has ended.
func (l *consents) begin(c *consent, stop context.CancelFunc) (until time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.list, c) {
		return time.Time{}, errNoConsent
	}
	c.stop = stop
	return c.expires, nil
}

// settle notes that a consent is ready, or what is wrong with it.
func (l *consents) settle(c *consent, refresh idlepush.Secret, check Check, wrong *CheckError, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.stop, c.expires = nil, now.Add(consentLifetime)
	if wrong != nil {
		c.state, c.wrong = consentFailed, wrong
		return
	}
	c.state, c.refresh, c.check = consentReady, refresh, check
}
