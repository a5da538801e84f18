package watcher

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/watcher/wire"
)

const (
	// examineStep is how long a part of a connection may take in an examination.
	examineStep = 10 * time.Second

	// maxShown is how many capabilities are shown.
	maxShown = 60

	// endsSoon is the time before the end of a certificate from which on it is pointed out.
	endsSoon = 7 * 24 * time.Hour
)

// examination is one run of Examine.
type examination struct {
	Dialer
	account *idlepush.Account
	access  *access // to an account of the store with OAuth; nil: any other
	tell    func(idlepush.Step)
}

// Examine looks at everything between this machine and the mail of an account: DNS, each address
// family, encryption, what the server can do, the login, the folders. Without a password it ends
// before the login. It hands each step to tell once it is over, also the one that fails, which is
// the last. It stores nothing and changes nothing in the mailbox. ctx bounds it; without that, it
// takes at most a few times 30 s.
//
// If wait is not zero, Examine waits that long in IDLE for a mail that somebody sends to the
// mailbox, and tells whether the server says so.
func (d Dialer) Examine(ctx context.Context, a idlepush.Account, wait time.Duration, tell func(idlepush.Step)) {
	x := &examination{d, &a, nil, tell}
	x.run(ctx, wait)
}

// run is Examine.
func (x *examination) run(ctx context.Context, wait time.Duration) {
	conn := x.connect(ctx)
	if conn == nil {
		return
	}
	defer func() { conn.Close() }()
	x.mechanisms(conn)
	if x.account.Password == "" {
		x.found(idlepush.VerdictLook, "examined_no_password", 0)
		return
	}
	conn, in := x.login(ctx, conn)
	if !in {
		return
	}
	x.abilities(conn)
	if x.folders(conn) && wait > 0 {
		x.wait(conn, wait)
	}
}

// found tells what a step has found. params are names and values.
func (x *examination) found(v idlepush.Verdict, code codes.Code, took time.Duration, params ...string) {
	x.tell(stepOf(v, code, took, params...))
}

func stepOf(v idlepush.Verdict, code codes.Code, took time.Duration, params ...string) idlepush.Step {
	r := idlepush.Reason{Code: code}
	for i := 0; i < len(params); i += 2 {
		r = r.With(params[i], params[i+1])
	}
	return idlepush.Step{Verdict: v, Reason: r, Took: took}
}

// failed tells that a step has failed.
func (x *examination) failed(err error, took time.Duration) {
	x.tell(idlepush.Step{Verdict: idlepush.VerdictWrong, Reason: diagnoseCheck(x.account, err).Told(), Took: took})
}

// clean returns text of the server, without the password that it may send back.
func (x *examination) clean(text string) string { return wire.Clean(redact(text, x.account)) }

// connect resolves the host and connects by each address family. It returns the connection of the
// first that works; nil: none does.
func (x *examination) connect(ctx context.Context) *wire.Conn {
	ways := []way{{}}
	if addr, err := netip.ParseAddr(x.account.Host); err == nil {
		ways = waysOf([]netip.Addr{addr.Unmap()})
	} else if x.resolve != nil || x.Dial == nil {
		began := time.Now()
		addrs, err := x.addresses(ctx)
		if err != nil {
			x.failed(err, time.Since(began))
			return nil
		}
		ways = waysOf(addrs)
		x.found(idlepush.VerdictOK, "examined_dns", time.Since(began), "host", x.account.Host, "addresses", list(addrs))
	}
	var dials sync.WaitGroup
	for i := range ways {
		dials.Go(func() { x.open(ctx, &ways[i]) })
	}
	dials.Wait()
	var first *wire.Conn
	for _, w := range ways {
		x.report(w, slices.ContainsFunc(ways, way.works), first != nil)
		switch {
		case first == nil:
			first = w.conn
		case w.conn != nil:
			w.conn.Close()
		}
	}
	return first
}

// addresses resolves the host, within examineStep.
func (x *examination) addresses(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, examineStep)
	defer cancel()
	resolve := x.resolve
	if resolve == nil {
		resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addrs, err := resolve(ctx, x.account.Host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "it has no address", Name: x.account.Host, IsNotFound: true}
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}

// way is one way to the server: an address family.
type way struct {
	family string
	addrs  []netip.Addr // nil: the host as it is
	conn   *wire.Conn   // or nil
	err    error        // why conn is nil
	took   time.Duration
	parts  []wire.Traced
}

func (w way) works() bool { return w.conn != nil }

func waysOf(addrs []netip.Addr) (ways []way) {
	for _, addr := range addrs {
		family := "IPv6"
		if addr.Is4() {
			family = "IPv4"
		}
		i := slices.IndexFunc(ways, func(w way) bool { return w.family == family })
		if i < 0 {
			i, ways = len(ways), append(ways, way{family: family})
		}
		ways[i].addrs = append(ways[i].addrs, addr)
	}
	return ways
}

// open connects by one way as a session does, but resumes no TLS session.
func (x *examination) open(ctx context.Context, w *way) {
	e := x.endpoint(x.account)
	if e.TLS != nil {
		e.TLS = e.TLS.Clone()
		e.TLS.ClientSessionCache = nil
	}
	if w.addrs != nil {
		e.Resolve = func(context.Context, string) ([]netip.Addr, error) { return w.addrs, nil }
	}
	e.Families = nil
	e.Trace = func(t wire.Traced) { w.parts = append(w.parts, t) }
	began := time.Now()
	w.conn, w.err = wire.Dial(ctx, e, wire.DefaultLimits, examineStep)
	w.err = x.withCertificate(x.account, w.err)
	w.took = time.Since(began)
}

// report tells how a way went. works: some way does. again: one before it does, so that the server
// is known already.
func (x *examination) report(w way, works, again bool) {
	for _, p := range w.parts {
		switch {
		case p.Part == wire.Connect && p.Err != nil && w.conn != nil:
			x.found(idlepush.VerdictLook, "examined_address_fails", p.Took, "address", p.Address)
		case p.Err != nil:
		case p.Part == wire.Connect:
			x.found(idlepush.VerdictOK, "examined_connect", p.Took, "address", p.Address)
		case again:
		case p.Part == wire.Handshake:
			x.certificate(p)
		default:
			x.found(idlepush.VerdictOK, "examined_greeting", p.Took)
		}
	}
	switch {
	case w.err == nil && !again && x.account.Security == idlepush.SecurityPlain:
		x.found(idlepush.VerdictLook, "examined_plain", 0)
	case w.err == nil:
	case !works:
		x.shown(w.err)
		x.failed(w.err, w.took)
	default:
		why := diagnoseCheck(x.account, w.err).Told()
		why = why.With(codes.Cause, string(why.Code)).With("family", w.family)
		why.Code = "examined_family_fails"
		x.tell(idlepush.Step{Verdict: idlepush.VerdictLook, Reason: why, Took: w.took})
	}
}

// mechanisms tells how the server lets people in, as far as it says so before the login.
func (x *examination) mechanisms(conn *wire.Conn) {
	var names []string
	for name := range conn.Caps() {
		if mechanism, ok := strings.CutPrefix(string(name), "AUTH="); ok {
			names = append(names, mechanism)
		}
	}
	login := !conn.Has(imap.CapLoginDisabled)
	if login {
		names = append(names, "LOGIN")
	}
	slices.Sort(names)
	names = slices.Compact(names)
	password := login || slices.Contains(names, "PLAIN")
	oauth := slices.Contains(names, "XOAUTH2") || slices.Contains(names, "OAUTHBEARER")
	params := []string{"mechanisms", x.clean(strings.Join(names, ", "))}
	switch {
	case conn.Preauth():
		x.found(idlepush.VerdictLook, "examined_preauth", 0)
	case password && oauth:
		x.found(idlepush.VerdictOK, "examined_mechanisms", 0, append(params, codes.Case, passwordOrOAuth)...)
	case oauth:
		x.found(idlepush.VerdictOK, "examined_mechanisms", 0, append(params, codes.Case, onlyOAuth)...)
	case password:
		x.found(idlepush.VerdictOK, "examined_mechanisms", 0, params...)
	default:
		x.found(idlepush.VerdictLook, "examined_mechanisms", 0, append(params, codes.Case, noPassword)...)
	}
}

// abilities tells what the server can do.
func (x *examination) abilities(conn *wire.Conn) {
	var names []string
	for name := range conn.Caps() {
		names = append(names, string(name))
	}
	slices.Sort(names)
	if len(names) > maxShown {
		names = append(names[:maxShown], "…")
	}
	for i, name := range names {
		names[i] = x.clean(name)
	}
	x.found(idlepush.VerdictOK, "examined_capabilities", 0, "capabilities", strings.Join(names, " "))
	if conn.Has(imap.CapIdle) {
		x.found(idlepush.VerdictOK, "examined_idle", 0)
	} else {
		x.found(idlepush.VerdictLook, "examined_no_idle", 0)
	}
}

// folders lists the folders and opens those that are watched, read-only. It reports whether the
// connection still works.
func (x *examination) folders(conn *wire.Conn) bool {
	began := time.Now()
	listed, unreadable, err := listFolders(conn)
	if err != nil {
		x.failed(err, time.Since(began))
		return false
	}
	x.found(idlepush.VerdictOK, "examined_folders", time.Since(began), "count", strconv.Itoa(len(listed)))
	if unreadable > 0 {
		x.found(idlepush.VerdictLook, "examined_unreadable", 0, "count", strconv.Itoa(unreadable))
	}
	began = time.Now()
	opened := 0
	r := &reader{conn: conn, failures: new(failures)}
	for _, name := range x.account.Folders {
		err := r.open(&folder{name: name})
		if conn.Cause() != nil {
			x.failed(err, time.Since(began))
			return false
		}
		if err == nil {
			opened++
			continue
		}
		why := diagnoseCheck(x.account, err).Told()
		if why.Code == "folder_unavailable" {
			why = why.With(codes.Case, oneOfSeveral).With("folder", name)
		}
		x.tell(idlepush.Step{Verdict: idlepush.VerdictWrong, Reason: why})
	}
	if opened > 0 {
		x.found(idlepush.VerdictOK, "examined_opened", time.Since(began), "count", strconv.Itoa(opened))
	}
	return true
}

func list(addrs []netip.Addr) string {
	var all []string
	for _, addr := range addrs {
		all = append(all, netguard.Canonical(addr).String())
	}
	return strings.Join(all, ", ")
}
