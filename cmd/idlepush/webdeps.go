package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/promise"
	"idlepush/push"
	"idlepush/registry"
	"idlepush/ring"
	"idlepush/watcher"
	"idlepush/watcher/discover"
	"idlepush/web"
)

// handler returns the API and the page, with what they need of the other packages. Their event
// streams end with ctx.
func (s settings) handler(ctx context.Context, c *core, figures http.Handler) (*web.Server, error) {
	store := c.store
	key, err := store.Outbox.VAPIDKey()
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	return web.New(web.Config{
		Users: store.Users, Logins: store.Logins, Accounts: store.Accounts, Devices: store.Devices, History: store.History,
		Mail:  s.mailConfig(c.pool, c.clients, c.dispatcher.Codes, c.log),
		OAuth: c.clients.config(c.pool, c.log),
		Push:  pushConfig(c.dispatcher, public),
		Codes: c.dispatcher.Codes,
		Log:   c.log, Version: version(),
		AdminToken: s.adminToken, TrustedProxies: s.trustedProxies,
		Advice:    store.Warnings(),
		PublicURL: func() string { return s.public(store) },
		Stopping:  ctx.Done(),
		Ready:     store.Ready,
		Broken:    func() []promise.Broken { return c.house.broken(time.Now()) },
		Metrics:   figures,
	}), nil
}

func (s settings) mailConfig(pool *watcher.Pool, clients *oauthClients, texts codes.Table, log *slog.Logger) web.MailConfig {
	finder := s.finder(clients)
	return web.MailConfig{
		Check: func(ctx context.Context, a idlepush.Account) (web.Check, error) {
			return check(ctx, pool, a, log)
		},
		Discover: func(ctx context.Context, email, host string) (web.Discovery, error) {
			var found discover.Result
			var err error
			if host != "" {
				found, err = finder.At(email, host)
			} else {
				found, err = finder.Find(ctx, email)
			}
			if errors.Is(err, discover.ErrAddress) {
				err = web.ErrAddress
			}
			return discovery(found, texts), err
		},
		Examine: func(ctx context.Context, a idlepush.Account) (steps []idlepush.Step) {
			pool.Examine(ctx, a, 0, func(s idlepush.Step) { steps = append(steps, s) })
			return steps
		},
		Recent: func(ctx context.Context, a idlepush.Account) ([]ring.Mail, error) {
			mails, err := pool.Recent(ctx, a)
			return mails, loginError(a, err, log)
		},
		Live: func(account string) web.Live { return web.Live(pool.Live(account)) },
	}
}

// finder returns what finds the settings of mail addresses.
func (s settings) finder(clients *oauthClients) *discover.Finder {
	return &discover.Finder{Resolver: net.DefaultResolver, Permit: s.allowMail.Permit, TokensFor: clients.providerOf,
		HasClient: func(provider string) bool {
			_, set := clients.set(provider)
			return set
		}}
}

func pushConfig(d *push.Dispatcher, vapidKey []byte) web.PushConfig {
	return web.PushConfig{
		Transports:   described(d.Transports),
		CheckAddress: func(device idlepush.Device) error { return checkAddress(d.Transports, device) },
		Route:        d.Transports.Routed,
		Prove:        d.Prove,
		Preview: func(device idlepush.Device) (web.PushRequest, *registry.Outcome) {
			r, refusal := d.Preview(device)
			return web.PushRequest{Method: r.Method, URL: r.URL, Header: r.Header, Body: r.Body,
				Plaintext: r.Plaintext, Readable: r.Readable()}, refusal
		},
		Replay: func(mails []ring.Mail, device idlepush.Device, account string, w ring.Wishes, on ring.DeviceWishes, now time.Time) ring.Replay {
			return push.Replay(mails, device, account, w, on, d.BurstLimit, now)
		},
		VAPIDKey: vapidKey,
	}
}

// discovery converts a result for the API.
func discovery(r discover.Result, texts codes.Table) (d web.Discovery) {
	if r.Name != "" {
		d.Provider = &web.Provider{Name: r.Name, Link: r.Link}
	}
	for _, f := range r.Settings {
		d.Settings = append(d.Settings, web.Settings{Host: f.Host, Port: f.Port, Security: f.Security, Username: f.Username, Source: string(f.Source), Auth: f.Auth, OAuth: f.OAuth, Client: f.Client})
	}
	for _, n := range r.Notes {
		d.Notes = append(d.Notes, web.Note{Code: n.Code, Params: n.Params, Text: texts.Sentence(n.Code, n.Params), URL: n.URL})
	}
	return d
}

// check tries the login of an account. It returns a *web.CheckError if the user can fix the
// problem.
func check(ctx context.Context, pool *watcher.Pool, a idlepush.Account, log *slog.Logger) (web.Check, error) {
	able, err := pool.Check(ctx, a)
	return checked(a, able, err, log)
}

// checked returns the result of a login in the form that the API needs.
func checked(a idlepush.Account, able watcher.Ability, err error, log *slog.Logger) (web.Check, error) {
	if err != nil {
		return web.Check{}, loginError(a, err, log)
	}
	var folders []web.Folder
	for _, f := range able.Folders {
		folders = append(folders, web.Folder(f))
	}
	return web.Check{Capabilities: able.Capabilities, Folders: folders, UnreadableFolders: able.Unreadable, Idle: able.Idle}, nil
}

// loginError returns why a mailbox could not be opened: a *web.CheckError if the user can fix that.
func loginError(a idlepush.Account, err error, log *slog.Logger) error {
	f, ok := errors.AsType[*watcher.Failure](err)
	if !ok {
		return err
	}
	log.Info("login failed", "remote", net.JoinHostPort(a.Host, strconv.Itoa(a.Port)), "status", f.Code, "err", f.Text())
	return &web.CheckError{Field: f.Field, Reason: f.Reason, Certificate: f.Certificate}
}

// checkAddress returns a web.FieldError if the address, a key or a parameter of d is invalid.
func checkAddress(transports push.Transports, d idlepush.Device) error {
	err := transports.Check(d)
	bad, ok := errors.AsType[*push.FieldError](err)
	if !ok {
		return err
	}
	address, keys := "token", "encryption"
	if t, ok := transports.Named(d.Transport); ok && t.Traits().Subscription {
		address, keys = "subscription.endpoint", "subscription.keys"
	}
	field := bad.Field
	switch field {
	case "address":
		field = address
	case "p256dh", "auth":
		field = keys + "." + field
	}
	return web.FieldError{Field: field, Code: bad.Reason.Code, Params: bad.Reason.Params}
}

// described returns the transports in the form that the API needs.
func described(transports push.Transports) (list []web.Transport) {
	for _, t := range transports {
		traits := t.Traits()
		one := web.Transport{Name: traits.Name, Subscription: traits.Subscription}
		for _, p := range traits.Params {
			one.Params = append(one.Params, web.Param(p))
		}
		list = append(list, one)
	}
	return list
}
