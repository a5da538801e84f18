// Package browser has only tests, which open the page of the daemon in real browsers. They are a
// package of their own because they take longest, and go test runs packages in parallel.
package browser

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/push/pushtest/mozilla"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// object is a JSON object.
type object = map[string]any

// parallel is the number of tests that run at the same time, each with a browser of its own. More
// of them would not be faster on two cores.
const parallel = 3

// buildDir is the folder of the built daemon.
var buildDir string

func TestMain(m *testing.M) {
	testenv.SetParallel(parallel)
	var err error
	if buildDir, err = os.MkdirTemp("", "idlepush"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(buildDir)
		os.Exit(code)
	}))
}

// program builds the daemon when the first test needs it. It uses the race detector if these tests
// do, so that go's cache has all but the linked program.
var program = sync.OnceValues(func() (systemtest.Program, error) {
	p := systemtest.Program{Path: filepath.Join(buildDir, "idlepush")}
	out, err := exec.Command("go", "build", raceFlag, "-buildvcs=false", "-o", p.Path, "idlepush/cmd/idlepush").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the daemon: %w: %s", err, out)
	}
	return p, err
})

// system is a System with helpers for browsers.
type system struct{ *systemtest.System }

// startSystem starts a daemon with its mail server and push services. push has the addresses of
// others that it may push to.
func startSystem(t *testing.T, push ...string) *system {
	t.Helper()
	p, err := program()
	systemtest.Must(t, err)
	s := &system{systemtest.New(t, p)}
	s.Push = push
	s.Start(t)
	return s
}

// setupLink returns the link for the first admin, as the log shows it.
func (s *system) setupLink(t *testing.T) string {
	t.Helper()
	return s.Origin + "/#/setup/" + s.SetupToken(t)
}

// pushService starts a Mozilla push service, and a Firefox that uses it. It returns the address of
// the service, too.
func pushService(t *testing.T) (*mozilla.Service, *browsertest.Browser, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := mozilla.New()
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := service.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		serving.Wait()
		for _, v := range service.Violations() {
			t.Errorf("Mozilla would have refused a request: %s", v)
		}
		for _, a := range service.Acks() {
			if a.Code != 100 {
				t.Errorf("Firefox refused a push with code %d", a.Code)
			}
		}
	})
	at := ln.Addr().String()
	return service, browsertest.Firefox(t, object{"dom.push.serverURL": "ws://" + at + "/"}), at
}

// callAPI calls the API as the user who is logged in on the page.
func callAPI(t *testing.T, p *browsertest.Page, method, path string, in, out any) {
	t.Helper()
	p.Eval(t, out, `async (method, path, body) => {
		const r = await fetch("/api/v1" + path, { method, headers: { "Content-Type": "application/json" }, body: body === null ? undefined : JSON.stringify(body) });
		if (!r.ok) throw new Error(method + " " + path + ": " + r.status + " " + await r.text());
		return r.status === 204 ? null : r.json();
	}`, method, path, in)
}

// enterLogin fills in a name and a password, and clicks the button.
func enterLogin(t *testing.T, p *browsertest.Page, button, name, password string) {
	t.Helper()
	p.Type(t, "Name", name)
	p.Type(t, "Password", password)
	p.Click(t, button)
}

// enterMailServer fills in the mail server, whose settings cannot be discovered, and continues.
func (s *system) enterMailServer(t *testing.T, p *browsertest.Page) {
	t.Helper()
	p.Type(t, "Mail server (IMAP)", "localhost")
	p.Type(t, "Port", strconv.Itoa(s.Mail.TLSPort))
	p.Type(t, "User name", s.Mail.User)
	p.Click(t, "Continue")
}

// ids returns the ids in a list of the API. A test whose list is empty ends.
func (s *system) ids(t *testing.T, list string) (ids []string) {
	t.Helper()
	var all struct{ Items []struct{ ID string } }
	systemtest.Must(t, s.Client.Get(testenv.Context(t), list, &all))
	for _, item := range all.Items {
		ids = append(ids, item.ID)
	}
	if len(ids) == 0 {
		t.Fatalf("%s has none", list)
	}
	return ids
}

// first returns the first of a list. A test without one ends: a step before it has failed.
func first[T any](t *testing.T, list []T) T {
	t.Helper()
	if len(list) == 0 {
		t.Fatal("the list is empty")
	}
	return list[0]
}

// openView opens a view that the page does not show yet, and waits for a text of that view.
func (s *system) openView(t *testing.T, p *browsertest.Page, view, text string) {
	t.Helper()
	p.Navigate(t, s.Origin+"/#/"+view)
	p.WaitText(t, text)
}
