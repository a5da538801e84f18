// Package browsertest drives a real Firefox or Chromium over WebDriver BiDi, for the tests of the page; nothing of it is in the daemon. It is a package of its own
// because it knows nothing of idlepush: only what a person can do with a browser.
package browsertest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"idlepush/registry/testenv"
)

// Browser is a running browser with a fresh profile that belongs to one test and dies with it, also when the test process is killed. Its methods, and those of its pages,
// end the test when they fail; they are for one goroutine. A console error, an uncaught exception or a breach of the page's Content-Security-Policy in any page
// fails the test when it ends, unless it was forgiven.
type Browser struct {
	wire   *wire
	folder string
	alive  io.Closer // held open while the processes shall live
	run    *exec.Cmd
}

// launch starts a program and returns when it has said what matches said, with its first group, which may be empty. The environment is the test's own but for HOME.
func (b *Browser) launch(t testing.TB, said *regexp.Regexp, program string, args ...string) string {
	t.Helper()
	log, err := os.Create(filepath.Join(b.folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// The shell holds all processes in its group and kills the group when its input ends: at the end of the test, or because the test process is no more.
	b.run = exec.Command("/bin/sh", append([]string{"-c", `"$@" & read -r _; kill -9 0`, "sh", program}, args...)...)
	b.run.Env = append(os.Environ(), "HOME="+b.folder, "XDG_CONFIG_HOME="+b.folder, "XDG_CACHE_HOME="+b.folder, "TMPDIR="+b.folder, "MOZ_CRASHREPORTER_DISABLE=1")
	b.run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.run.Stdout, b.run.Stderr = log, log
	if b.alive, err = b.run.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := b.run.Start(); err != nil {
		t.Fatal(err)
	}
	var found [][]byte
	testenv.Await(t, program+" is ready", func() error {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			return err
		}
		if found = said.FindSubmatch(text); found == nil {
			return fmt.Errorf("it said:\n%s", text)
		}
		return nil
	})
	return string(found[1])
}

// newBrowser makes its folder and cleans up after it.
func newBrowser(t testing.TB) *Browser {
	t.Helper()
	// t.TempDir's long names would take the browsers' Unix sockets past their 108 bytes.
	folder, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{folder: folder}
	t.Cleanup(func() {
		b.Close(t)
		// The kernel may still be ending processes that write there.
		testenv.Await(t, "the browser's folder is removed", func() error { return os.RemoveAll(folder) })
	})
	return b
}

// Close ends the browser as a power cut would, after holding its pages to having had no errors.
func (b *Browser) Close(t testing.TB) {
	t.Helper()
	if b.wire != nil {
		b.wire.close()
		for _, e := range b.Forgive() {
			t.Errorf("a page had an error: %s", e)
		}
		b.wire = nil
	}
	if b.run == nil || b.alive == nil {
		return
	}
	b.alive.Close()
	b.run.Wait() // the shell kills itself with the rest
	b.alive = nil
}

// Forgive forgets the pages' errors so far and returns them, for a test that provokes them.
func (b *Browser) Forgive() []string {
	b.wire.mu.Lock()
	defer b.wire.mu.Unlock()
	errors := b.wire.errors
	b.wire.errors = nil
	return errors
}

// Permit answers the question for a permission, such as "notifications", at an origin before it is asked: "granted", "denied" or "prompt".
func (b *Browser) Permit(t testing.TB, origin, permission, answer string) {
	t.Helper()
	b.must(t, "permissions.setPermission", object{"descriptor": object{"name": permission}, "state": answer, "origin": origin}, nil)
}

// must makes one call or ends the test.
func (b *Browser) must(t testing.TB, method string, params, out any) {
	t.Helper()
	if err := b.wire.call(testenv.Context(t), method, params, out); err != nil {
		t.Fatal(err)
	}
}

// watch prepares a session for pages.
func (b *Browser) watch(t testing.TB) {
	t.Helper()
	b.must(t, "session.subscribe", object{"events": []string{"log.entryAdded"}}, nil)
	b.must(t, "script.addPreloadScript", object{"functionDeclaration": `() => addEventListener("securitypolicyviolation",
		e => console.error("Content-Security-Policy: " + e.violatedDirective + " forbids " + e.blockedURI))`}, nil)
}

// require finds a program or ends the test; see testenv.Missing.
func require(t testing.TB, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	testenv.Missing(t, fmt.Sprintf("none of %s is installed", strings.Join(programs, ", ")))
	return ""
}

// lines joins what is sorted, for a file.
func lines(list []string) []byte {
	slices.Sort(list)
	return []byte(strings.Join(list, "\n") + "\n")
}
