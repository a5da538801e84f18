// Package imaptest holds real and scripted IMAP servers for the tests of watcher and of the program; nothing of it is in
// the daemon.
package imaptest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"idlepush/registry/testenv"
)

// Server is a real Dovecot that belongs to one test: its own folder, ports, authority, users and mail. It dies with the
// test, also when the test process is killed. Its methods end the test when they fail; they are for one goroutine.
type Server struct {
	Endpoint

	program string // dovecot itself
	folder  string
	owner   owner
	alive   io.Closer // held open while the processes shall live
	run     *exec.Cmd // nil while stopped
}

// Dovecot starts a Dovecot 2.3 (Debian: dovecot-imapd) with an empty mailbox for one user. settings are further lines of
// its configuration, such as "imap_idle_notify_interval = 1s"; they win over those made here. Without a Dovecot 2.3 the test
// is skipped, or fails; see testenv.Missing.
func Dovecot(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := &Server{program: requireDovecot(t), owner: unprivileged(t)}
	// t.TempDir lies below a folder that only its maker may enter, and a long name would take the Unix sockets in it past
	// their 108 bytes.
	folder, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	s.folder = folder
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("dovecot said:\n%s", s.log())
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	authority := newAuthority(t, folder)
	s.Endpoint = Endpoint{Host: "127.0.0.1", CAFile: authority.file, Roots: authority.roots, User: "alice", Password: "wonderland"}
	s.write(t, "certificate.pem", authority.chain)
	s.write(t, "key.pem", authority.key)
	s.write(t, "users", nil)
	s.own(t, folder)
	s.AddUser(t, s.User, s.Password)
	s.Port, s.TLSPort = testenv.Port(t), testenv.Port(t)
	s.write(t, "dovecot.conf", []byte(s.configuration()+strings.Join(settings, "\n")+"\n"))
	s.Start(t)
	return s
}

// requireDovecot finds Dovecot 2.3 or skips or fails the test; later versions read another configuration.
func requireDovecot(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("dovecot")
	if err != nil {
		program = "/usr/sbin/dovecot" // not in the PATH of Debian's ordinary users
	}
	version, err := exec.Command(program, "--version").Output()
	if err == nil && strings.HasPrefix(string(version), "2.3.") {
		return program
	}
	testenv.Missing(t, fmt.Sprintf("dovecot 2.3 is not installed: version %q, %v", version, err))
	return ""
}

// owner is the ordinary user whose processes all of Dovecot is: the tester, or nobody when that is root, because Dovecot lets
// root read no mail.
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

// configuration follows doc.dovecot.org/2.3, "Rootless Installation", for everything that would need root. Penalties for wrong
// passwords are off, so that a test of a refused login is not slow.
func (s *Server) configuration() string {
	return strings.NewReplacer(
		"FOLDER", s.folder, "NAME", filepath.Base(s.folder),
		"OWNER", s.owner.name, "GROUP", s.owner.group,
		"UID", strconv.Itoa(s.owner.uid), "GID", strconv.Itoa(s.owner.gid),
		"TLSPORT", strconv.Itoa(s.TLSPort), "PORT", strconv.Itoa(s.Port),
	).Replace(`
protocols = imap
listen = 127.0.0.1
login_greeting = NAME
base_dir = FOLDER/run
state_dir = FOLDER/run
log_path = FOLDER/log
default_internal_user = OWNER
default_internal_group = GROUP
default_login_user = OWNER
first_valid_uid = 1
first_valid_gid = 1
ssl = yes
ssl_cert = <FOLDER/certificate.pem
ssl_key = <FOLDER/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:~/mail
mailbox_list_index = yes
lda_mailbox_autocreate = yes
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  chroot =
  inet_listener imap {
    port = PORT
  }
  inet_listener imaps {
    port = TLSPORT
    ssl = yes
  }
}
passdb {
  driver = passwd-file
  args = FOLDER/users
}
userdb {
  driver = passwd-file
  args = FOLDER/users
  default_fields = uid=UID gid=GID home=FOLDER/home/%u
}
`)
}

// Start starts a stopped server again, on the same ports and with the mail and users it had, and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	for _, old := range []string{"run", "log"} {
		if err := os.RemoveAll(filepath.Join(s.folder, old)); err != nil {
			t.Fatal(err)
		}
	}
	// The shell holds all of Dovecot in its process group and kills the group when its input ends: at Stop, or because the
	// test process is no more.
	run := s.command("", "/bin/sh", "-c", `"$@" & read -r _; kill -9 0`, "sh", s.program, "-F", "-c", s.path("dovecot.conf"))
	run.SysProcAttr.Setpgid = true
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := log.Chown(s.owner.uid, s.owner.gid); err != nil {
		t.Fatal(err)
	}
	run.Stdout, run.Stderr = log, log
	if s.alive, err = run.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatalf("start dovecot: %v", err)
	}
	s.run = run
	ctx := testenv.Context(t)
	testenv.Await(t, "dovecot greets", func() error {
		err := s.greets(ctx)
		if err != nil && strings.Contains(s.log(), "Fatal:") {
			t.Fatal("dovecot does not start")
		}
		return err
	})
}

// Stop kills the server as a power cut would: every connection ends without a BYE, and until Start nobody listens on its
// ports. Mail can be delivered meanwhile. It returns when a new connection is refused; a stopped server stays stopped.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.run == nil {
		return
	}
	if err := s.alive.Close(); err != nil {
		t.Error(err)
	}
	// The shell kills itself with the rest, so an exit by signal is what should happen.
	if err := s.run.Wait(); err != nil && s.run.ProcessState.ExitCode() != -1 {
		t.Error(err)
	}
	s.run = nil
	testenv.Await(t, "dovecot, which was killed, takes no connections", func() error {
		return cmp.Or(s.refuses(s.Port), s.refuses(s.TLSPort))
	})
	// Killed while it held a lock file, Dovecot waits two minutes for itself.
	err := filepath.WalkDir(s.path("home"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".lock") {
			err = os.Remove(path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// greets says why it is not this server that greets.
func (s *Server) greets(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address(s.Port))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasSuffix(greeting, " "+filepath.Base(s.folder)+"\r\n") {
		err = fmt.Errorf("somebody else says %q", greeting)
	}
	return err
}

// refuses says why a connection to the port is not refused.
func (s *Server) refuses(port int) error {
	conn, err := net.Dial("tcp", s.address(port))
	if err == nil {
		conn.Close()
		return fmt.Errorf("port %d took one", port)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return err
}

func (s *Server) address(port int) string { return net.JoinHostPort(s.Host, strconv.Itoa(port)) }

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

func (s *Server) log() string {
	text, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// write makes or replaces a file that Dovecot may read, at any time, but not change.
func (s *Server) write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(s.path(name+".new"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path(name+".new"), s.path(name)); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) own(t testing.TB, path string) {
	t.Helper()
	if err := os.Chown(path, s.owner.uid, s.owner.gid); err != nil {
		t.Fatal(err)
	}
}

// command is a program of Dovecot's, run by its owner in the name of a mail user, with whose home it needs no server to ask.
func (s *Server) command(mailUser, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "USER=" + mailUser, "HOME=" + s.home(mailUser)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner.credential}
	return cmd
}
