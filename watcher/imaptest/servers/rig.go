// Package servers has real IMAP servers for the tests of watcher and of the program: Dovecot, Cyrus
// and Courier, if they are installed, and the one of package imapmem. It is apart from package
// imaptest because it imports testing, which the program must not.
package servers

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/registry/testenv"
)

// rig is what the real servers have in common: a folder, ports, an authority, and processes that
// die together.
type rig struct {
	Endpoint

	name   string // what it is called
	folder string // whose last element is in its greeting
	owner  owner
	env    []string  // of its programs, beside PATH
	alive  io.Closer // held open while the processes shall live
	run    *exec.Cmd // nil while stopped
}

// make makes all but the configuration. stop is called at the end of the test.
func (r *rig) make(t testing.TB, name string, stop func(testing.TB)) authority {
	t.Helper()
	// t.TempDir lies below a folder that only its maker may enter. With a long name the paths of
	// Unix sockets in it would exceed their 108 bytes.
	folder, err := os.MkdirTemp("", name)
	if err != nil {
		t.Fatal(err)
	}
	r.name, r.folder, r.owner = name, folder, unprivileged(t)
	t.Cleanup(func() {
		stop(t)
		if t.Failed() {
			t.Logf("%s said:\n%s", name, r.log())
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	authority := newAuthority(t, folder)
	r.Endpoint = Endpoint{Host: "127.0.0.1", CAFile: authority.file, Roots: authority.roots, User: "alice", Password: "wonderland"}
	r.Port, r.TLSPort = testenv.Port(t), testenv.Port(t)
	r.write(t, "certificate.pem", authority.chain)
	r.write(t, "key.pem", authority.key)
	r.own(t, folder)
	return authority
}

// owner is the ordinary user whose processes all of a server is: the tester, or nobody when that is
// root, because Dovecot and Cyrus let root read no mail.
type owner struct {
	name, group string
	uid, gid    int
	credential  *syscall.Credential // nil: the tester
}

func unprivileged(t testing.TB) owner {
	t.Helper()
	found, err := user.Current()
	root := err == nil && found.Uid == "0"
	if root {
		found, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(found.Gid)
	if err != nil {
		t.Fatal(err)
	}
	o := owner{name: found.Username, group: group.Name}
	if o.uid, err = strconv.Atoi(found.Uid); err != nil {
		t.Fatal(err)
	}
	if o.gid, err = strconv.Atoi(found.Gid); err != nil {
		t.Fatal(err)
	}
	if root {
		o.credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return o
}

// start runs main, which all further processes of the server stem from, and what it says goes to
// the log.
func (r *rig) start(t testing.TB, main *exec.Cmd) {
	t.Helper()
	// The shell holds the whole server in its process group and kills the group when its input
	// ends: at kill, or because the test process is no more.
	run := r.command("/bin/sh", append([]string{"-c", `"$@" & read -r _; kill -9 0`, "sh"}, main.Args...)...)
	run.Env = main.Env
	run.SysProcAttr.Setpgid = true
	log, err := os.Create(r.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := log.Chown(r.owner.uid, r.owner.gid); err != nil {
		t.Fatal(err)
	}
	run.Stdout, run.Stderr = log, log
	if r.alive, err = run.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatalf("start %s: %v", r.name, err)
	}
	r.run = run
}

// kill ends all processes of the server at once and returns when a new connection is refused.
func (r *rig) kill(t testing.TB) {
	t.Helper()
	if err := r.alive.Close(); err != nil {
		t.Error(err)
	}
	// The shell kills itself with the rest, so an exit by signal is what should happen.
	if err := r.run.Wait(); err != nil && r.run.ProcessState.ExitCode() != -1 {
		t.Error(err)
	}
	r.run = nil
	testenv.Await(t, r.name+", which was killed, takes no connections", func() error {
		return cmp.Or(r.refuses(r.Port), r.refuses(r.TLSPort))
	})
}

// greets says why it is not this server that greets.
func (r *rig) greets(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.address(r.Port))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.Contains(greeting, filepath.Base(r.folder)) {
		err = fmt.Errorf("somebody else says %q", greeting)
	}
	return err
}

// refuses says why a connection to the port is not refused.
func (r *rig) refuses(port int) error {
	conn, err := net.Dial("tcp", r.address(port))
	if err == nil {
		conn.Close()
		return fmt.Errorf("port %d took one", port)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return err
}

func (r *rig) address(port int) string { return net.JoinHostPort(r.Host, strconv.Itoa(port)) }

func (r *rig) path(name string) string { return filepath.Join(r.folder, name) }

func (r *rig) log() string {
	text, err := os.ReadFile(r.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// write makes or replaces a file that the server may read, at any time, but not change.
func (r *rig) write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(r.path(name+".new"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.path(name+".new"), r.path(name)); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) own(t testing.TB, path string) {
	t.Helper()
	if err := os.Chown(path, r.owner.uid, r.owner.gid); err != nil {
		t.Fatal(err)
	}
}

// command is a program run by the server's owner.
func (r *rig) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = r.folder
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, r.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: r.owner.credential}
	return cmd
}

// Client is another program of the user's: a connection over plain text that is logged in, until
// the test ends.
func (r *rig) Client(t testing.TB) *imapclient.Client {
	t.Helper()
	client, err := imapclient.DialInsecure(r.address(r.Port), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.Login(r.User, r.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return client
}
