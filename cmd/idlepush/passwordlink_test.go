package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush/registry"
	"idlepush/registry/registrytest"
)

func TestPasswordLink(t *testing.T) {
	t.Parallel()
	t.Run("while the daemon runs, it makes the link", passwordLinkOfDaemon)
	t.Run("while none runs, the command opens the store", passwordLinkInStore)
	t.Run("an error says what to do", passwordLinkErrors)
	t.Run("its settings are those of serve that it needs", passwordLinkSettings)
	t.Run("the QR code for a terminal has its margin and fits the link", terminalCode)
}

// linked matches a link that works at the public URL of the store.
var linked = regexp.MustCompile(`(?m)^  https://house\.example\.net/#/password/([A-Z2-7]{26})$`)

// command runs the program with the arguments, and returns what it prints.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, func(string) string { return "" }, &out, &errs)
	return code, out.String(), errs.String()
}

// checkLink checks what the command prints for Ben, and that his password can be set by it.
func checkLink(t *testing.T, store *registry.Store, out, told string) {
	t.Helper()
	found := linked.FindStringSubmatch(out)
	if found == nil || strings.Contains(out, "\x1b") || !strings.Contains(out, told) {
		t.Fatalf("it prints %q", out)
	}
	u, _, err := store.Logins.SetPassword(found[1], "another "+registrytest.Password, false, registry.Visit{}, time.Now())
	if err != nil || u.Name != "Ben" {
		t.Errorf("%+v, %v", u, err)
	}
}

// runDaemon answers commands for the store as serve does, until the test ends.
func runDaemon(t *testing.T, s settings, store *registry.Store) *registrytest.Log {
	t.Helper()
	l, err := listenSocket(s.data)
	if err != nil {
		t.Fatal(err)
	}
	log, lines := registrytest.NewLog(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		mux := http.NewServeMux()
		s.servePasswordLink(mux, store, log)
		if err := serveHTTP(ctx, l, mux, log); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return lines
}

func passwordLinkOfDaemon(t *testing.T) {
	t.Parallel()
	dir, _, ben := registrytest.DirWithUsers(t)
	store := registrytest.OpenBounded(t, dir)
	defer store.Close()
	lines := runDaemon(t, settings{data: dir}, store)
	code, out, errs := command("password-link", "ben", "--data", dir)
	if code != 0 || errs != "" {
		t.Fatalf("%d, %q", code, errs)
	}
	checkLink(t, store, out, "ben's devices are told that it was made.")
	if got := lines.String(); !strings.Contains(got, ben.ID) || strings.Contains(got, linked.FindStringSubmatch(out)[1]) {
		t.Errorf("the log says %q", got)
	}
	if code, out, errs := command("password-link", "--data", dir, "Nobody"); code != 1 || out != "" || !strings.Contains(errs, `there is no person "Nobody"`) || strings.Contains(errs, "Anna") {
		t.Errorf("for nobody: %d, %q, %q", code, out, errs)
	}
}

func passwordLinkInStore(t *testing.T) {
	t.Parallel()
	dir, _, _ := registrytest.DirWithUsers(t)
	code, out, errs := command("password-link", "--data="+dir, "Ben")
	if code != 0 || errs != "" {
		t.Fatalf("%d, %q", code, errs)
	}
	store := registrytest.OpenBounded(t, dir)
	defer store.Close()
	checkLink(t, store, out, "Ben's devices are told that it was made, when idlepush is started.")
}

func passwordLinkErrors(t *testing.T) {
	t.Parallel()
	dir, _, _ := registrytest.DirWithUsers(t)
	held, _, _ := registrytest.DirWithUsers(t)
	store := registrytest.OpenBounded(t, held)
	defer store.Close()
	missing := filepath.Join(t.TempDir(), "missing")
	foreign, _, _ := registrytest.DirWithUsers(t)
	if os.Geteuid() == 0 {
		if err := os.Chown(filepath.Join(foreign, "idlepush.db"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nobody of that name":             {[]string{"Carla", "--data", dir}, 1, `there is no person "Carla": use the name with which the person logs in`},
		"no store":                        {[]string{"Ben", "--data", missing}, 1, "the store " + missing + "/idlepush.db does not exist: name the data folder of idlepush with --data"},
		"a daemon that cannot be reached": {[]string{"Ben", "--data", held}, 1, "its socket idlepush.sock is not there: stop idlepush, run this, and start it again"},
		"the store of another user":       {[]string{"Ben", "--data", foreign}, 1, "belongs to another user: run this as that user"},
		"no name":                         {[]string{"--data", dir}, 2, "want one name"},
		"two names":                       {[]string{"Ben", "Anna", "--data", dir}, 2, "want one name, in quotes if it has a space"},
		"an unknown setting":              {[]string{"Ben", "--listen", ":1"}, 2, "`idlepush password-link -help` lists the settings"},
		"a wrong key":                     {[]string{"Ben", "--key", "x"}, 2, "setting key"},
	} {
		if name == "the store of another user" && os.Geteuid() != 0 {
			continue // only root can give files away
		}
		if code, out, errs := command(append([]string{"password-link"}, c.args...)...); code != c.code || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d, %q, %q", name, code, out, errs)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("it makes the folder that is missing")
	}
}

func passwordLinkSettings(t *testing.T) {
	t.Parallel()
	dir, _, _ := registrytest.DirWithUsers(t)
	var out, errs bytes.Buffer
	env := map[string]string{"IDLEPUSH_DATA": dir, "IDLEPUSH_PUBLIC_URL": "https://push.example.org/", "IDLEPUSH_LISTEN": "nonsense"}
	if code := run([]string{"password-link", "Ben"}, func(k string) string { return env[k] }, &out, &errs); code != 0 || !strings.Contains(out.String(), "  https://push.example.org/#/password/") {
		t.Errorf("%d, %q, %q", code, out.String(), errs.String())
	}
	code, help, _ := command("password-link", "-help")
	if code != 0 || !strings.HasPrefix(help, "Usage: idlepush password-link [settings] NAME\n") || !strings.Contains(help, "-data ") || strings.Contains(help, "-listen ") {
		t.Errorf("the help is %d, %q", code, help)
	}
	unknown := passwordLink{Link: "/#/password/CODE"}.text("Ben", true, true)
	if !strings.Contains(unknown, "Put the address of the page before it, such as https://push.example.org: that is not known, because public-url is not set.") {
		t.Errorf("without a public URL it prints %q", unknown)
	}
}

func terminalCode(t *testing.T) {
	t.Parallel()
	link := "https://push.example.org/#/password/CODE"
	text := passwordLink{Link: link}.text("Ben", true, true)
	lines := strings.Split(strings.TrimSuffix(terminalQR(link), "\n"), "\n")
	if !strings.Contains(text, lines[0]) {
		t.Fatalf("it prints %q", text)
	}
	const on, off = "\x1b[30;107m", "\x1b[0m"
	for i, line := range lines {
		modules := []rune(strings.TrimSuffix(strings.TrimPrefix(line, on), off))
		// Version 3 has 29 modules, and four light ones at each side.
		if len(modules) != 37 || len(lines) != 19 || !strings.HasPrefix(string(modules), "    ") || !strings.HasSuffix(string(modules), "    ") {
			t.Errorf("line %d of %d is %q", i, len(lines), line)
		}
	}
	// The upper edge of the finder, seven dark modules, is in the upper half of the third line.
	if finder := []rune(strings.TrimPrefix(lines[2], on))[4:12]; string(finder) != "█▀▀▀▀▀█ " {
		t.Errorf("the corner is %q", string(finder))
	}
}
