// Package browsertest drives a real Firefox or Chromium over WebDriver BiDi, for tests of the page.
// It is a package of its own because it does only what a person can do with a browser, and knows
// nothing about idlepush.
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

// Browser is a running browser with a new profile. It belongs to one test and ends with it, even if
// the test process is killed. Its methods, and those of its pages, end the test if they fail. They
// are for one goroutine.
//
// The test fails at its end if a page had a console error, an uncaught exception or a violation of
// its Content-Security-Policy. Those that [Browser.TakeErrors] has returned do not count.
type Browser struct {
	conn   *conn
	folder string
	input  io.Closer // of the processes, which end when it is closed
	cmd    *exec.Cmd
}

// launch starts a program and returns when a match of ready is in its output. It returns the first
// group of the match, which may be empty.
func (b *Browser) launch(t testing.TB, ready *regexp.Regexp, program string, args ...string) string {
	t.Helper()
	log, err := os.Create(filepath.Join(b.folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// All processes are in the group of the shell, which kills the group when its input ends. That
	// is when the test ends, or the test process.
	b.cmd = exec.Command("/bin/sh", append([]string{"-c", `"$@" & read -r _; kill -9 0`, "sh", program}, args...)...)
	b.cmd.Env = append(os.Environ(), "HOME="+b.folder, "XDG_CONFIG_HOME="+b.folder, "XDG_CACHE_HOME="+b.folder, "TMPDIR="+b.folder, "MOZ_CRASHREPORTER_DISABLE=1")
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.cmd.Stdout, b.cmd.Stderr = log, log
	if b.input, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var found [][]byte
	testenv.Await(t, program+" is ready", func() error {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			return err
		}
		if found = ready.FindSubmatch(text); found == nil {
			return fmt.Errorf("its output is:\n%s", text)
		}
		return nil
	})
	return string(found[1])
}

// newBrowser makes a Browser with a folder. At the end of the test it closes the browser and
// removes the folder.
func newBrowser(t testing.TB) *Browser {
	t.Helper()
	// The paths of t.TempDir are too long for Unix sockets in them, whose limit is 108 bytes.
	folder, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{folder: folder}
	t.Cleanup(func() {
		b.Close(t)
		// Processes may still write there for a moment.
		testenv.Await(t, "the browser's folder is removed", func() error { return os.RemoveAll(folder) })
	})
	return b
}

// Close kills the browser. The test fails if its pages had errors.
func (b *Browser) Close(t testing.TB) {
	t.Helper()
	if b.conn != nil {
		b.conn.close()
		for _, e := range b.TakeErrors() {
			t.Errorf("a page had an error: %s", e)
		}
		b.conn = nil
	}
	if b.cmd == nil || b.input == nil {
		return
	}
	b.input.Close()
	b.cmd.Wait() // the shell kills itself, too
	b.input = nil
}

// TakeErrors returns the errors of all pages so far and forgets them. It is for tests that cause
// errors.
func (b *Browser) TakeErrors() []string {
	b.conn.mu.Lock()
	defer b.conn.mu.Unlock()
	errors := b.conn.errors
	b.conn.errors = nil
	return errors
}

// SetPermission sets a permission of an origin, such as "notifications". state is "granted",
// "denied" or "prompt".
func (b *Browser) SetPermission(t testing.TB, origin, permission, state string) {
	t.Helper()
	b.must(t, "permissions.setPermission", object{"descriptor": object{"name": permission}, "state": state, "origin": origin}, nil)
}

// must runs one command. An error ends the test.
func (b *Browser) must(t testing.TB, method string, params, out any) {
	t.Helper()
	if err := b.conn.call(testenv.Context(t), method, params, out); err != nil {
		t.Fatal(err)
	}
}

// collectErrors makes the browser report the errors of pages from now on.
func (b *Browser) collectErrors(t testing.TB) {
	t.Helper()
	b.must(t, "session.subscribe", object{"events": []string{"log.entryAdded"}}, nil)
	b.must(t, "script.addPreloadScript", object{"functionDeclaration": `() => addEventListener("securitypolicyviolation",
		e => console.error("Content-Security-Policy: " + e.violatedDirective + " forbids " + e.blockedURI))`}, nil)
}

// findProgram returns the path of the first program that is installed. If none is, it ends the test
// like [testenv.Missing].
func findProgram(t testing.TB, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	testenv.Missing(t, fmt.Sprintf("none of %s is installed", strings.Join(programs, ", ")))
	return ""
}

// sortedLines sorts the list and joins it, one entry on a line.
func sortedLines(list []string) []byte {
	slices.Sort(list)
	return []byte(strings.Join(list, "\n") + "\n")
}
