// Package browser has only tests: of the page in real browsers, against the daemon. They are a package
// of their own because they cost the most: go test runs them beside the others.
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

	"idlepush/cmd/idlepush/street"
	"idlepush/push/pushtest/mozilla"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// object is a JSON object.
type object = map[string]any

// atOnce is how many tests run at once, each with a browser of its own. They compute as much as they wait: on two cores, more of them take no less time.
const atOnce = 3

// built is the folder of the daemon.
var built string

func TestMain(m *testing.M) {
	testenv.SetParallel(atOnce)
	var err error
	if built, err = os.MkdirTemp("", "idlepush"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(built)
		os.Exit(code)
	}))
}

// program builds the daemon, when the first test needs it: with the race detector if these tests have it. So all but the link is in go's cache.
var program = sync.OnceValues(func() (street.Program, error) {
	p := street.Program{Path: filepath.Join(built, "idlepush")}
	said, err := exec.Command("go", "build", raceFlag, "-buildvcs=false", "-o", p.Path, "idlepush/cmd/idlepush").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the daemon: %w: %s", err, said)
	}
	return p, err
})

// town is a street with what browsers need of it.
type town struct{ *street.Street }

// newTown is a town in which the daemon runs.
func newTown(t *testing.T) *town {
	t.Helper()
	p, err := program()
	street.Must(t, err)
	s := &town{street.New(t, p)}
	s.Start(t)
	return s
}

// setupLink is what the log tells the newcomer to open.
func (s *town) setupLink(t *testing.T) string {
	t.Helper()
	return s.Origin + "/#/setup/" + s.SetupToken(t)
}

// pushService is a Mozilla push service, and a Firefox that knows no other.
func pushService(t *testing.T) (*mozilla.Service, *browsertest.Browser) {
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
			t.Errorf("Mozilla would not have taken it: %s", v)
		}
		for _, a := range service.Acks() {
			if a.Code != 100 {
				t.Errorf("Firefox could not make use of a push: %d", a.Code)
			}
		}
	})
	return service, browsertest.Firefox(t, object{"dom.push.serverURL": "ws://" + ln.Addr().String() + "/"})
}

// say calls the API as the person who is logged in on the page.
func say(t *testing.T, p *browsertest.Page, method, path string, in, out any) {
	t.Helper()
	p.Eval(t, out, `async (method, path, body) => {
		const r = await fetch("/api/v1" + path, { method, headers: { "Content-Type": "application/json" }, body: body === null ? undefined : JSON.stringify(body) });
		if (!r.ok) throw new Error(method + " " + path + ": " + r.status + " " + await r.text());
		return r.status === 204 ? null : r.json();
	}`, method, path, in)
}

// enter fills in who the newcomer is.
func enter(t *testing.T, p *browsertest.Page, button, name, password string) {
	t.Helper()
	p.Type(t, "Name", name)
	p.Type(t, "Password", password)
	p.Click(t, button)
}

// mailServer fills in the town's mail server, whose settings nobody can find.
func (s *town) mailServer(t *testing.T, p *browsertest.Page) {
	t.Helper()
	p.Type(t, "Mail server (IMAP)", "localhost")
	p.Type(t, "Port", strconv.Itoa(s.Mail.TLSPort))
	p.Type(t, "User name", s.Mail.User)
	p.Click(t, "Continue")
}

// ids are those of what a list of the API holds.
func (s *town) ids(t *testing.T, list string) (ids []string) {
	t.Helper()
	var all struct{ Items []struct{ ID string } }
	street.Must(t, s.Client.Get(testenv.Context(t), list, &all))
	for _, item := range all.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

// open leads a page that is somewhere else to a view, and waits until it says what only that view says.
func (s *town) open(t *testing.T, p *browsertest.Page, view, says string) {
	t.Helper()
	p.Navigate(t, s.Origin+"/#/"+view)
	p.WaitText(t, says)
}
