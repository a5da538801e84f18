package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/watcher/discover"
)

func TestDoctor(t *testing.T) {
	t.Parallel()
	t.Run("the report of an installation that works", doctorReport)
	t.Run("no setting's value is in it, right or wrong", doctorSecrets)
	t.Run("the state of a mailbox is told without its mail", doctorAccounts)
	t.Run("what rings, what does not, and why", doctorDevices)
	t.Run("what requests have shown is told", doctorRequests)
	t.Run("what was found for an address is told with its source", doctorDiscovered)
	t.Run("wrong usage says what is right", doctorUsage)
	t.Run("one examination of the installation runs at a time, and ends with the daemon", doctorAlone)
	t.Run("an examination of a mailbox that is stopped blames nobody", doctorStopped)
}

// server returns a TLS server that runs until the test ends.
func server(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// dated answers with the time, that far ahead.
func dated(ahead time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
	})
}

// near is the internet of a test, where all is well.
func near(clock *httptest.Server) outside {
	return outside{
		clock: clock.URL, client: clock.Client(), hosts: []string{"imap.example.org:993"},
		lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		},
		dial: func(context.Context, string, string) (net.Conn, error) {
			conn, other := net.Pipe()
			other.Close()
			return conn, nil
		},
	}
}

// running is an installation whose daemon answers at an https address.
func running(t *testing.T, args ...string) installation {
	t.Helper()
	dir, _, _ := registrytest.DirWithUsers(t)
	own := new(identity)
	site := server(t, own.wrap(http.NotFoundHandler()))
	s, err := parse("serve", append([]string{"--data=" + dir, "--public-url=" + site.URL}, args...), func(string) string { return "" }, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	store := registrytest.OpenBounded(t, dir)
	t.Cleanup(func() { store.Close() })
	transports, err := s.transports(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	clock := server(t, dated(0))
	out := near(clock)
	out.client = site.Client() // both have the certificate of httptest
	return installation{settings: s, store: store, transports: transports, identity: own, noticed: func() []idlepush.Reason { return nil },
		getenv: func(string) string { return "" }, outside: out}
}

// text returns the report of an installation.
func (x installation) text(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	r := &report{out: &out}
	x.examine(t.Context(), r.print)
	if err := r.end(); (err != nil) != strings.Contains(out.String(), "\nwrong ") {
		t.Errorf("it ends with %v after %s", err, out.String())
	}
	return out.String()
}

func doctorReport(t *testing.T) {
	t.Parallel()
	backups := t.TempDir()
	if err := os.WriteFile(filepath.Join(backups, time.Now().Add(-3*time.Hour).UTC().Format("idlepush-20060102-150405.backup")), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	x := running(t, "--vapid-subject=mailto:admin@example.org", "--backup-folder="+backups)
	a, _, err := x.store.Accounts.Add(idlepush.Account{Owner: users(t, x.store)[0].ID, Email: "anna@example.org", Host: "imap.example.org", Port: 993,
		Security: "tls", Username: "anna", Password: "planted", Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := x.store.Mail.SetState(a, idlepush.Status{State: idlepush.StateWatching, Since: time.Now().Add(-3 * time.Hour), Proof: time.Now()}); err != nil {
		t.Fatal(err)
	}
	x.register(t, "phone", idlepush.StateProven)
	got := x.text(t)
	for pattern, with := range map[string]string{`version .*`: "VERSION", `id [a-z0-9]+`: "id ID", `\S*/[^ ]*/[^ ]+ can be written`: "DIR can be written", ` \(\d+ ms\)`: "", `https://\S+`: "ORIGIN", `\d+ MB`: "N MB", `\d+ KB`: "N KB",
		`is \d s (ahead of|behind) that of \S+`: "is 0 s ahead of that of HOST"} {
		got = regexp.MustCompile(pattern).ReplaceAllString(got, with)
	}
	const want = `ok     idlepush    it runs, and this is its own report: VERSION
ok     settings    given are data, public-url, vapid-subject, backup-folder
ok     data        DIR can be written
ok     data        its disk has room for N MB more
ok     data        nobody else can read or write its files
ok     store       it can be read, and its key fits (N KB)
ok     backup      the last is 3 h old
ok     clock       it is 0 s ahead of that of HOST
ok     DNS         names are resolved
ok     network     mail servers can be reached by IPv4
ok     network     mail servers can be reached by IPv6
ok     fcm         FCM has no credentials, so apps of your own cannot register with it; the page and Web Push need none
ok     apns        APNs has no key, so apps of your own cannot register with it; the page and Web Push need none
ok     webpush     Web Push has a contact, as Apple wants it
ok     public URL  ORIGIN leads to this idlepush
ok     requests    none has come through a proxy that is not trusted
ok     mailboxes   a…@example.org (id ID): watching for 3 h
ok     devices     1 of 1 ring

nothing is wrong
`
	if got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}

func doctorRequests(t *testing.T) {
	t.Parallel()
	noticed := installation{noticed: func() []idlepush.Reason {
		return []idlepush.Reason{idlepush.Reason{Code: "proxy_not_trusted"}.With("address", "10.0.0.1").With("network", "10.0.0.1/32")}
	}}
	if list := noticed.requests(t.Context()).list; !slices.Equal(verdicts(list), []idlepush.Verdict{"look"}) || !strings.Contains(list[0].Text, "set trusted-proxies to 10.0.0.1/32 ") {
		t.Errorf("with a proxy it is %+v", list)
	}
	if list := (installation{}).requests(t.Context()).list; len(list) != 0 {
		t.Errorf("without a daemon it is %+v", list)
	}
}

// users returns the users of the store.
func users(t *testing.T, store *registry.Store) []idlepush.User {
	t.Helper()
	list, err := store.Users.List()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func doctorSecrets(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	right := map[string]string{"listen": "127.0.0.1:7", "public-url": "https://" + canary + ".invalid", "admin-token": canary + strings.Repeat("x", 20), "key": "",
		"allow-mail": canary + ".example.org", "allow-push": canary + ".example.org:1", "allow-nets": "", "trusted-proxies": "10.0.0.0/8", "vapid-subject": "mailto:" + canary + "@example.org",
		"fcm-endpoint": "https://user:" + canary + "@localhost:1/" + canary, "apns-endpoint": "https://localhost:1/" + canary, "apns-key-id": canary, "apns-team-id": canary, "apns-topic": canary,
		"burst-limit": "7", "log-level": "debug", "log-format": "json"}
	dir := t.TempDir()
	for name, value := range map[string]func(setting) string{
		"wrong": func(s setting) string { return canary + " of " + s.name },
		"right": func(s setting) string { return right[s.name] },
	} {
		env := map[string]string{"SSL_CERT_FILE": "", "IDLEPUSH_DATA": dir}
		for _, s := range table() {
			if s.name != "data" {
				env[variable(s.name)] = value(s)
			}
		}
		var out, errs bytes.Buffer
		err := runDoctor(t.Context(), nil, func(k string) string { return env[k] }, strings.NewReader(""), &out, &errs)
		text := out.String() + errs.String()
		// The public URL is no secret; its host is needed to repair it.
		if shown := strings.ReplaceAll(text, "https://"+canary+".invalid", ""); !errors.Is(err, errFound) || strings.Contains(shown, canary) {
			t.Errorf("%s settings: %v\n%s", name, err, text)
		}
		for _, s := range table() {
			if env[variable(s.name)] != "" && !strings.Contains(text, s.name) {
				t.Errorf("%s settings: it does not name %s:\n%s", name, s.name, text)
			}
		}
	}
}

// verdicts returns the verdict of each finding.
func verdicts(list []finding) (all []idlepush.Verdict) {
	for _, f := range list {
		all = append(all, f.Verdict)
	}
	return all
}

// doctorFlags are the flags of the command that are no settings.
func doctorFlags() (names []string) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	new(givenMailbox).flags(flags)
	flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

func doctorAccounts(t *testing.T) {
	t.Parallel()
	now := time.Now()
	told := idlepush.Reason{Code: "folder_unavailable"}.With(codes.Case, "one_of_several").With("folder", "Secret folder").With(codes.Said, "secret words")
	for name, c := range map[string]struct {
		a    idlepush.Account
		asOf string
		want idlepush.Verdict
		text string
	}{
		"works":            {idlepush.Account{Enabled: true, Status: idlepush.Status{State: "watching", Since: now.Add(-49 * time.Hour)}}, "", "ok", "watching for 2 days"},
		"has no IDLE":      {idlepush.Account{Enabled: true, Status: idlepush.Status{State: "polling", Since: now}}, "", "ok", "polling for less than a minute"},
		"is new":           {idlepush.Account{Enabled: true, Status: idlepush.Status{State: "new"}}, " when", "look", "new when"},
		"fails for a time": {idlepush.Account{Enabled: true, Status: idlepush.Status{State: "retrying", Since: now.Add(-5 * time.Minute), Reason: idlepush.Reason{Code: "server_silent"}}}, "", "look", "retrying for 5 min: the mail server does not answer"},
		"needs a person":   {idlepush.Account{Enabled: true, Status: idlepush.Status{State: "attention", Since: now, Reason: told}}, "", "wrong", "the folder … cannot be opened: check that it still exists and is still wanted"},
		"is paused":        {idlepush.Account{Status: idlepush.Status{State: "attention", Since: now.Add(-time.Hour)}}, "", "ok", "paused for 1 h"},
	} {
		text := stateOf(c.a, c.asOf, now)
		if verdictOf(c.a) != c.want || !strings.Contains(text, c.text) || strings.Contains(strings.ToLower(text), "secret") {
			t.Errorf("%s: %s %q", name, verdictOf(c.a), text)
		}
	}
	if got := shorten("for anna@example.org, <jürgen.x@exa-mple.org> and x@y: no"); got != "for a…@example.org, <j…@exa-mple.org> and x…@y: no" {
		t.Errorf("shortened to %q", got)
	}
}

func doctorDevices(t *testing.T) {
	t.Parallel()
	now := time.Now()
	refused := idlepush.Reason{Code: "webpush_timeout"}.With("host", "push.example.org")
	paused := registry.Lane{Name: "a", Since: now.Add(-time.Hour), Until: now, Reason: idlepush.Reason{Code: "webpush_vapid_rejected"}.With("host", "push.example.org")}
	of := func(state idlepush.State, r idlepush.Reason) idlepush.Status {
		return idlepush.Status{State: state, Reason: r, Since: now.Add(-3 * time.Hour)}
	}
	for name, c := range map[string]struct {
		d    idlepush.Device
		want idlepush.Verdict
		text string
	}{
		"rings":                     {idlepush.Device{Lane: "b", Status: of("proven", idlepush.Reason{}), Due: now}, "ok", ""},
		"failed the last time":      {idlepush.Device{Lane: "b", Status: of("proven", refused), Due: now}, "look", "does not ring now, and something waits for it: push.example.org did not answer in time."},
		"has nothing that waits":    {idlepush.Device{Lane: "b", Status: of("proven", refused)}, "look", "does not ring now: push"},
		"is suspect":                {idlepush.Device{Lane: "b", Status: of("suspect", refused)}, "wrong", "does not ring, and has been tried rarely for 3 h: push"},
		"was never reached":         {idlepush.Device{Lane: "b", Status: of("unproven", idlepush.Reason{})}, "look", "no push has reached it yet"},
		"is refused from the start": {idlepush.Device{Lane: "b", Status: of("unproven", refused)}, "look", "does not ring now: push"},
		"is in a lane that waits":   {idlepush.Device{Lane: "a", Status: of("proven", idlepush.Reason{}), Due: now}, "look", "does not ring now, and something waits for it: push.example.org does not accept"},
	} {
		if v, why := ringing(c.d, []registry.Lane{paused, {Name: "b"}}, now); v != c.want || !strings.HasPrefix(why, c.text) || why != "" && c.text == "" {
			t.Errorf("%s: %s %q", name, v, why)
		}
	}
	x := running(t)
	if list := x.devices(t.Context()).list; !slices.Equal(verdicts(list), []idlepush.Verdict{"look"}) || !strings.Contains(list[0].Text, "none yet") {
		t.Errorf("without a device it is %+v", list)
	}
	for i, state := range []idlepush.State{"proven", "proven", "unproven"} {
		x.register(t, fmt.Sprint("Ünknown ", i), state)
	}
	list := x.devices(t.Context()).list
	if !slices.Equal(verdicts(list), []idlepush.Verdict{"ok", "look"}) || list[0].Text != "2 of 3 ring" || !strings.HasPrefix(list[1].Text, "Ü… (webpush, id ") || strings.Contains(fmt.Sprint(list), "nknown") {
		t.Errorf("it is %+v", list)
	}
}

// register registers a device of the first user.
func (x installation) register(t *testing.T, name string, state idlepush.State) {
	t.Helper()
	_, _, err := x.store.Devices.Register(idlepush.Device{User: users(t, x.store)[0].ID, Name: name, Transport: "webpush", Lane: "webpush", Content: idlepush.LevelSubject,
		Address: idlepush.Secret("https://push.example.org/" + name), Status: idlepush.Status{State: state}}, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
}

func doctorDiscovered(t *testing.T) {
	t.Parallel()
	one := discover.Settings{Host: "imap.example.org", Port: 993, Security: "tls", Username: "anna", Source: discover.ISPDB, Auth: []string{discover.AppPassword, discover.OAuth}, OAuth: "example"}
	other := one
	other.Port, other.Source = 143, discover.Guess
	for name, c := range map[string]struct {
		found discover.Result
		want  []idlepush.Verdict
		text  string
	}{
		"settings": {discover.Result{Name: "Example", Settings: []discover.Settings{one, other}}, []idlepush.Verdict{"ok", "ok", "ok"}, "imap.example.org:993 (tls), from Thunderbird's list of providers; one logs in by app password or OAuth at example"},
		"something to do": {discover.Result{Settings: []discover.Settings{one}, Notes: []discover.Note{{Code: "imap_switch", Params: map[string]string{"provider": "Example"}, URL: "https://example.org/x"}}},
			[]idlepush.Verdict{"ok", "look"}, "first. https://example.org/x"},
		"nothing":    {discover.Result{Notes: []discover.Note{{Code: "none_found"}}}, []idlepush.Verdict{"wrong"}, "No settings were found"},
		"only OAuth": {discover.Result{Notes: []discover.Note{{Code: "oauth2"}}}, []idlepush.Verdict{"wrong"}, "with OAuth only"},
	} {
		list := discovered(c.found)
		if !slices.Equal(verdicts(list), c.want) || !strings.Contains(fmt.Sprint(list), c.text) {
			t.Errorf("%s: %+v", name, list)
		}
	}
	for _, s := range discover.Sources {
		if foundIn[s] == "" {
			t.Errorf("%s has no words", s)
		}
	}
}

func doctorUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"a@example.org b@example.org": "want one mail address",
		"--wait":                      "want the mail address",
		"--host imap.example.org":     "want the mail address",
		"a@example.org --port 143":    "need --host",
		"a@example.org --host imap.example.org --port 1e5":   "-port",
		"a@example.org --host imap.example.org --port 65536": "--port wants",
		"a@example.org --host imap.example.org --security x": "--security wants",
		"a@example.org --host im..ap":                        "--host wants",
		"a@example.org --password planted":                   "-password",
		"anna":                                               "no mail address",
	} {
		code, out, errs := command(append([]string{"doctor", "--data", t.TempDir()}, strings.Fields(args)...)...)
		if code != 2 || out != "" || !strings.Contains(errs, want) || strings.Contains(errs, "planted") {
			t.Errorf("%s: %d, %q", args, code, errs)
		}
	}
	code, help, _ := command("doctor", "-help")
	if code != 0 || !strings.HasPrefix(help, "Usage: idlepush doctor [settings] [EMAIL]\n") || !strings.Contains(help, "-wait") || !strings.Contains(help, "-data ") {
		t.Errorf("the help is %d, %q", code, help)
	}
	for _, c := range []struct {
		given, want givenMailbox
	}{
		{givenMailbox{email: "a@example.org", host: "a"}, givenMailbox{email: "a@example.org", host: "a", security: "tls", port: 993}},
		{givenMailbox{email: "a@example.org", host: "a", security: "starttls"}, givenMailbox{email: "a@example.org", host: "a", security: "starttls", port: 143}},
		{givenMailbox{email: "a@example.org", host: "a", security: "none", port: 7}, givenMailbox{email: "a@example.org", host: "a", security: "none", port: 7}},
	} {
		if err := c.given.complete(); err != nil || c.given != c.want {
			t.Errorf("%+v, %v, want %+v", c.given, err, c.want)
		}
	}
}

func doctorAlone(t *testing.T) {
	t.Parallel()
	x := running(t)
	entered, leave := make(chan bool), make(chan bool)
	x.outside.lookup = func(ctx context.Context, _ string) ([]netip.Addr, error) {
		entered <- true
		select {
		case <-leave:
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	}
	ctx, stop := context.WithCancel(t.Context())
	mux := http.NewServeMux()
	serveDoctor(ctx, mux, x, thisProcess{})
	daemon := httptest.NewServer(mux)
	defer daemon.Close()
	ask := func(path string) string {
		resp, err := http.Post(daemon.URL+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		text.ReadFrom(resp.Body)
		return text.String()
	}
	first := make(chan string)
	go func() { first <- ask("/doctor") }()
	<-entered
	if got := ask("/doctor"); !strings.Contains(got, "is being examined") {
		t.Errorf("a second one gets %q", got)
	}
	if got := ask(storedPath); got != "" {
		t.Errorf("that of a mailbox gets %q", got)
	}
	stop()
	if got := <-first; !strings.Contains(got, `"mailboxes"`) || !strings.Contains(got, "has cut this short") {
		t.Errorf("the first gets %q", got)
	}
}

func doctorStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	var list []finding
	examineMailbox(ctx, func(ctx context.Context, _ idlepush.Account, _ time.Duration, tell func(idlepush.Step)) {
		tell(idlepush.Step{Verdict: "ok", Reason: idlepush.Reason{Code: "examined_greeting"}})
		stop()
		<-ctx.Done()
		tell(idlepush.Step{Verdict: "wrong", Reason: idlepush.Reason{Code: "connection_lost"}})
	}, idlepush.Account{}, false, func(f finding) { list = append(list, f) })
	if !slices.Equal(verdicts(list), []idlepush.Verdict{"ok", "look"}) || list[1] != cutShort {
		t.Errorf("told %+v", list)
	}
}
