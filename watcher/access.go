package watcher

import (
	"context"
	"errors"
	"sync"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/watcher/oauth"
)

const (
	// tokenSkew is how much sooner than it says an access token may expire: clocks differ.
	tokenSkew = time.Minute

	// minTokenSession is the shortest time after which a session makes way because of its token.
	minTokenSession = 5 * time.Minute

	// refreshGrace is how much longer a provider's answer is awaited once the caller has gone.
	refreshGrace = 5 * time.Second

	// maxTokenWait is the longest wait that a provider is granted at once.
	maxTokenWait = time.Hour
)

// access opens the mailbox of one account with OAuth. It gets access tokens, and keeps them in
// memory only. Several goroutines may use it: they ask the provider one at a time.
type access struct {
	dialer Dialer
	store  registry.Mail
	turn   chan struct{} // one value while somebody uses the fields below

	refresh idlepush.Secret // the refresh token by which token was got
	token   idlepush.Secret
	due     time.Time       // when another one is wanted; without a monotonic reading, for sleep
	unsaved idlepush.Secret // it has replaced refresh, and could not be stored yet
}

// get returns an access token for the account, other than the refused one, and when it is to be
// renewed. A refresh token that the provider has replaced is in the store by then.
//
// The error is an *oauth.Error, a *storeError, registry.ErrStale, or that of ctx.
func (x *access) get(ctx context.Context, a *idlepush.Account, refused idlepush.Secret) (token idlepush.Secret, due time.Time, err error) {
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return "", due, ctx.Err()
	}
	defer func() { <-x.turn }()
	if err := x.load(a); err != nil {
		return "", due, err
	}
	if x.token == "" || x.token == refused || !time.Now().Before(x.due) {
		if err := x.renew(ctx, a); err != nil {
			return "", due, err
		}
	}
	return x.token, x.due, nil
}

// load reads the refresh token. If it is another, a person has consented anew.
func (x *access) load(a *idlepush.Account) error {
	refresh, err := x.store.Grant(*a)
	switch {
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrCorrupt):
		return noConsent()
	case errors.Is(err, registry.ErrStale):
		return err
	case err != nil:
		return &storeError{err}
	}
	if refresh != x.refresh {
		x.refresh, x.token, x.unsaved = refresh, "", ""
	}
	return x.save(a)
}

// renew gets another access token from the provider.
func (x *access) renew(ctx context.Context, a *idlepush.Account) error {
	client, err := x.dialer.client(a)
	if err != nil {
		return err
	}
	got, err := refresh(ctx, client, x.refresh)
	if err != nil {
		return err
	}
	x.token, x.due, x.unsaved = got.Access, renewal(got.Expires, time.Now().Round(0)), got.Refresh
	return x.save(a)
}

// save stores the refresh token that has replaced the one before.
func (x *access) save(a *idlepush.Account) error {
	if x.unsaved == "" {
		return nil
	}
	err := x.store.SetGrant(a.ID, x.refresh, x.unsaved)
	if errors.Is(err, registry.ErrStale) || errors.Is(err, registry.ErrNotFound) {
		x.token, x.unsaved = "", ""
		return registry.ErrStale
	}
	if err != nil {
		return &storeError{err}
	}
	x.refresh, x.unsaved = x.unsaved, ""
	return nil
}

// refresh asks the provider for an access token. What it sends may be worthless from then on, so it
// awaits the answer for a while even if ctx ends.
func refresh(ctx context.Context, client oauth.Client, token idlepush.Secret) (got oauth.Token, err error) {
	asking, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(refreshGrace, stop) })()
	// On a stack of its own, because that of a waiting session is most of its memory.
	var running sync.WaitGroup
	running.Go(func() { got, err = client.Refresh(asking, token) })
	running.Wait()
	return got, err
}

// renewal returns when to renew an access token: after four fifths of its life, and somewhat
// earlier, so that accounts do not act at once.
func renewal(expires, now time.Time) time.Time {
	life := expires.Sub(now)
	return now.Add(early(max(min(life*8/10, life-tokenSkew), 0)))
}

// client returns the client that gets tokens for an account. The error is an *oauth.Error.
func (d Dialer) client(a *idlepush.Account) (oauth.Client, error) {
	if d.Client != nil {
		if client, ok := d.Client(a.OAuth); ok {
			return client, nil
		}
	}
	title := a.OAuth
	if p, ok := oauth.Named(a.OAuth); ok {
		title = p.Title
	}
	return oauth.Client{}, &oauth.Error{Reason: idlepush.Reason{Code: "client_missing"}.With("provider", title), Remedy: oauth.Admin}
}

// mayShowToken returns an *oauth.Error if the account has no token, or one that is not for its
// server, which could read the mailbox with it.
func (d Dialer) mayShowToken(a *idlepush.Account) error {
	client, err := d.client(a)
	switch {
	case err != nil:
		return err
	case a.Password == "":
		return noConsent()
	case !client.Provider.Serves(a.Host):
		return &oauth.Error{Reason: idlepush.Reason{Code: "token_for_others"}.With("provider", client.Provider.Title), Remedy: oauth.Consent}
	}
	return nil
}

func noConsent() error {
	return &oauth.Error{Reason: idlepush.Reason{Code: "consent_missing"}, Remedy: oauth.Consent}
}

// noTokenFailure says what it means that there is no access token.
func noTokenFailure(err *oauth.Error) *Failure {
	f := &Failure{Reason: err.Reason, minWait: min(err.After, maxTokenWait)}
	switch err.Remedy {
	case oauth.Consent:
		f.Field, f.final, f.personal, f.tellFrom = "consent", true, true, 2
	case oauth.Admin:
		// Nobody tells us when the admin has fixed it.
		f.final, f.personal, f.tellFrom, f.maxWait = true, true, 1, personWait
	}
	return f
}

// access returns the access to an account with OAuth, or nil for any other account.
func (p *Pool) access(a *idlepush.Account) *access {
	if a.OAuth == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opened == nil {
		p.opened = make(map[string]*access)
	}
	if p.opened[a.ID] == nil {
		p.opened[a.ID] = &access{dialer: p.Dialer, store: p.Store, turn: make(chan struct{}, 1)}
	}
	return p.opened[a.ID]
}

// open calls logIn with an access token as the Password of a. If the server refuses the token, it
// does so once more with a new one. It returns when the token is to be renewed.
func (x *access) open(ctx context.Context, a *idlepush.Account, logIn func() error) (due time.Time, err error) {
	var refused idlepush.Secret
	for {
		if a.Password, due, err = x.get(ctx, a, refused); err != nil {
			return due, err
		}
		if err = logIn(); err == nil || refused != "" || !diagnose(a, err).refusesToken() {
			return due, err
		}
		refused = a.Password
	}
}
