package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/registry"
)

// partWait is how long one part of the examination of an installation may take. They run at once.
const partWait = 20 * time.Second

// installation is what `idlepush doctor` examines.
type installation struct {
	settings
	problems   []error         // of the settings
	store      *registry.Store // nil: it cannot be opened
	broken     error           // why
	transports push.Transports
	identity   *identity                // of the daemon; nil: none runs
	noticed    func() []idlepush.Reason // by the daemon in requests; nil: none runs
	getenv     func(string) string
	outside    outside
}

// outside is what an examination asks of the internet.
type outside struct {
	clock  string   // an https address whose server tells the right time
	hosts  []string // host:port of mail servers that have IPv4 and IPv6
	client *http.Client
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// internet is the real one; tests have another. The clock is that of the server that discovery
// asks, too.
var internet = func() outside {
	return outside{
		clock:  "https://autoconfig.thunderbird.net/",
		hosts:  []string{"imap.gmail.com:993", "outlook.office365.com:993"},
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		dial: new(net.Dialer).DialContext,
	}
}

// stopped opens the installation while no daemon runs. close closes it.
func stopped(s settings, problems []error, getenv func(string) string) (x installation, close func()) {
	x = installation{settings: s, problems: problems, getenv: getenv, outside: internet()}
	x.store, x.broken = openStopped(s)
	server := push.Server{Origin: x.public, Permit: s.allowPush.Permit}
	// Examine signs nothing with the VAPID key, so any will do if the store cannot be read.
	server.Key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for _, service := range services {
		made, err := service.New(s.push, server)
		switch {
		case err == nil:
			x.transports = append(x.transports, made...)
		case len(problems) == 0:
			x.problems = append(x.problems, err)
		}
	}
	return x, func() {
		for _, t := range x.transports {
			t.CloseIdleConnections()
		}
		if x.store != nil {
			x.store.Close()
		}
	}
}

// public is settings.public, also without a store.
func (x installation) public() string {
	if x.store == nil {
		return x.publicURL
	}
	return x.settings.public(x.store)
}

// examine looks at all parts of the installation at once, and tells what it finds in their order.
// A part that fails does not end the others.
func (x installation) examine(ctx context.Context, tell func(finding)) {
	stopping := ctx
	ctx, cancel := context.WithTimeout(ctx, partWait)
	defer cancel()
	parts := []func(context.Context) findings{x.program, x.givenSettings, x.dataFolder, x.openedStore, x.backups, x.clock, x.dns, x.families}
	for _, t := range x.transports {
		parts = append(parts, func(ctx context.Context) findings { return examineTransport(ctx, t) })
	}
	parts = append(parts, x.publicURLLeads, x.requests, x.accounts, x.devices)
	found := make([]chan findings, len(parts))
	var running sync.WaitGroup
	defer running.Wait()
	for i, part := range parts {
		found[i] = make(chan findings, 1)
		running.Go(func() { found[i] <- part(ctx) })
	}
	for _, f := range found {
		for _, one := range (<-f).list {
			tell(one)
		}
	}
	if stopping.Err() != nil {
		tell(cutShort)
	}
}

func (x installation) program(context.Context) findings {
	f := findings{subject: "idlepush"}
	build := "version " + version() + ", " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH
	if x.identity != nil {
		f.ok("it runs, and this is its own report: %s", build)
	} else {
		f.ok("it does not run with this data folder; this is what a start would find: %s", build)
	}
	return f
}

// givenSettings tells which settings are given, and never their values.
func (x installation) givenSettings(context.Context) findings {
	f := findings{subject: "settings"}
	if len(x.set) > 0 {
		f.ok("given are %s", strings.Join(x.set, ", "))
	} else {
		f.ok("none is given: all have their defaults")
	}
	for _, err := range x.problems {
		f.wrong("%v", err)
	}
	if err := checkTrustedCAs(x.getenv("SSL_CERT_FILE")); err != nil {
		f.wrong("%v", err)
	}
	if err := checkNoProxy(x.getenv); err != nil {
		f.wrong("%v", err)
	}
	if names := unknownVariables(os.Environ()); len(names) > 0 {
		f.look("unknown environment variables are ignored, check their spelling: %s", strings.Join(names, ", "))
	}
	return f
}

func examineTransport(ctx context.Context, t push.Transport) findings {
	f := findings{subject: string(t.Traits().Name)}
	for _, s := range t.Examine(ctx) {
		f.list = append(f.list, findingOf(f.subject, s, allCodes()))
	}
	return f
}

// requests tells what the requests to the daemon have shown.
func (x installation) requests(context.Context) findings {
	f := findings{subject: "requests"}
	if x.noticed == nil {
		return f
	}
	list := x.noticed()
	for _, r := range list {
		f.look("%s", allCodes().Sentence(r.Code, r.Params))
	}
	if len(list) == 0 {
		f.ok("none has come through a proxy that is not trusted")
	}
	return f
}

// publicURLLeads tells whether the public URL leads to the daemon.
func (x installation) publicURLLeads(ctx context.Context) findings {
	f := findings{subject: "public URL"}
	switch origin := x.public(); {
	case origin == "":
		f.look("it is not known: set public-url to the https origin at which phones reach this server, or run setup there")
	case x.identity == nil:
		f.look("whether %s leads here is not known while idlepush does not run: start it, and run this again", origin)
	default:
		return x.identity.check(ctx, origin, x.outside.client)
	}
	return f
}
