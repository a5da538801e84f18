package servers

import (
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"idlepush/registry/testenv"
)

// Server is a real Dovecot that belongs to one test: its own folder, ports, authority, users and
// mail. It dies with the test, also when the test process is killed. Its methods end the test when
// they fail; they are for one goroutine.
type Server struct {
	rig

	program string // dovecot itself
}

// Dovecot starts a Dovecot 2.3 (Debian: dovecot-imapd) with an empty mailbox for one user. settings
// are further lines of its configuration, such as "imap_idle_notify_interval = 1s"; they win over
// those made here. Without a Dovecot 2.3 the test is skipped, or fails; see testenv.Missing.
func Dovecot(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := &Server{program: requireDovecot(t)}
	s.rig.make(t, "dovecot", s.Stop)
	s.write(t, "users", nil)
	s.AddUser(t, s.User, s.Password)
	s.write(t, "dovecot.conf", []byte(s.configuration()+strings.Join(settings, "\n")+"\n"))
	s.Start(t)
	return s
}

// requireDovecot finds Dovecot 2.3 or skips or fails the test; later versions read another
// configuration.
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

// configuration follows doc.dovecot.org/2.3, "Rootless Installation", for everything that would
// need root. Penalties for wrong passwords are off, so that a test of a refused login is not slow.
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

// Start starts a stopped server again, on the same ports and with the mail and users it had, and
// returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(s.path("run")); err != nil {
		t.Fatal(err)
	}
	s.start(t, s.command("", s.program, "-F", "-c", s.path("dovecot.conf")))
	ctx := testenv.Context(t)
	testenv.Await(t, "dovecot greets", func() error {
		err := s.greets(ctx)
		if err != nil && strings.Contains(s.log(), "Fatal:") {
			t.Fatal("dovecot does not start")
		}
		return err
	})
}

// Stop kills the server as a power cut would: every connection ends without a BYE, and until Start
// nobody listens on its ports. Mail can be delivered meanwhile. It returns when a new connection is
// refused; a stopped server stays stopped.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.run == nil {
		return
	}
	s.kill(t)
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

// ReplaceCertificate makes and returns a new certificate for the server, of an authority that
// nobody knows, as a server at home may have. It restarts a running server.
func (s *Server) ReplaceCertificate(t testing.TB) *x509.Certificate {
	t.Helper()
	running := s.run != nil
	s.Stop(t)
	unknown := newAuthority(t, t.TempDir())
	s.write(t, "certificate.pem", unknown.chain)
	s.write(t, "key.pem", unknown.key)
	if running {
		s.Start(t)
	}
	return unknown.certificate.Leaf
}

// EndPasswords makes the server take access tokens only, as a provider does that takes passwords no
// more. Its settings must let it take those. A server that runs is started again.
func (s *Server) EndPasswords(t testing.TB) {
	t.Helper()
	running := s.run != nil
	s.Stop(t)
	before, err := os.ReadFile(s.path("dovecot.conf"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "dovecot.conf", append(before, "auth_mechanisms = xoauth2 oauthbearer\nimap_capability = +LOGINDISABLED\n"...))
	if running {
		s.Start(t)
	}
}

// command returns a command that runs a program of Dovecot for a mail user. It sets the user's
// home, so that the program need not ask the server.
func (s *Server) command(mailUser, name string, args ...string) *exec.Cmd {
	cmd := s.rig.command(name, args...)
	cmd.Env = append(cmd.Env, "USER="+mailUser, "HOME="+s.home(mailUser))
	return cmd
}
