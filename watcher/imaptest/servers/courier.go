package servers

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush/registry/testenv"
)

// CourierServer is a real Courier that belongs to one test, as Server is a Dovecot: imapd, which
// begins after the login, and gam_server, which it asks for what changes on disk. Its own front,
// imaplogin, needs a database of users and paths that only root may write, so the front is ours:
// TLS, the greeting, CAPABILITY and LOGIN. There is no STARTTLS.
type CourierServer struct {
	rig

	root        string // with the unpacked packages
	certificate tls.Certificate
	hangUp      context.CancelFunc // ends the front and its connections
	serving     sync.WaitGroup
	delivered   int // mails, to name them by
}

// Courier starts a Courier (Debian: courier-imap and what it depends on) with an empty mailbox for
// one user. Without one the test is skipped, or fails; see testenv.Missing.
func Courier(t testing.TB) *CourierServer {
	t.Helper()
	s := &CourierServer{root: filepath.Join(unpacked, "courier")}
	if _, err := os.Stat(s.program("imapd")); err != nil {
		testenv.Missing(t, "courier-imap is not unpacked: "+err.Error())
	}
	authority := s.rig.make(t, "courier", s.Stop)
	s.certificate = authority.certificate
	s.env = append(libraries(t, s.root), "GAM_CLIENT_ID="+filepath.Base(s.folder))
	if said, err := s.command(s.program("maildirmake.courier"), s.path("Maildir")).CombinedOutput(); err != nil {
		t.Fatalf("make a mailbox: %v: %s", err, said)
	}
	s.Start(t)
	return s
}

func (s *CourierServer) program(name string) string { return filepath.Join(s.root, "usr/bin", name) }

// Start starts a stopped server again, on the same ports and with the mail it had.
func (s *CourierServer) Start(t testing.TB) {
	t.Helper()
	s.start(t, s.command(filepath.Join(s.root, "usr/libexec/gam_server"), "--notimeout", filepath.Base(s.folder)))
	testenv.Await(t, "gam_server listens", func() error {
		sockets, err := os.ReadFile("/proc/net/unix") // it has no name on disk
		if err == nil && !strings.Contains(string(sockets), filepath.Base(s.folder)) {
			err = errors.New("not there")
		}
		return err
	})
	var ctx context.Context
	ctx, s.hangUp = context.WithCancel(context.Background())
	s.listen(ctx, t, s.Port, nil)
	s.listen(ctx, t, s.TLSPort, &tls.Config{Certificates: []tls.Certificate{s.certificate}})
}

// listen serves who connects until ctx ends.
func (s *CourierServer) listen(ctx context.Context, t testing.TB, port int, config *tls.Config) {
	t.Helper()
	l, err := net.Listen("tcp", s.address(port))
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { l.Close() })
	group := s.run.Process.Pid
	s.serving.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			s.serving.Go(func() {
				defer raw.Close()
				defer context.AfterFunc(ctx, func() { raw.Close() })()
				conn := raw
				if config != nil {
					conn = tls.Server(raw, config)
				}
				s.serve(conn, group)
			})
		}
	})
}

// Stop kills the server as a power cut would; see Server.Stop.
func (s *CourierServer) Stop(t testing.TB) {
	t.Helper()
	if s.run == nil {
		return
	}
	s.hangUp()
	s.kill(t)
	s.serving.Wait()
}

// serve is one connection: the front until the login, imapd in the process group after it.
func (s *CourierServer) serve(conn net.Conn, group int) {
	in := bufio.NewReader(conn)
	tag := s.logIn(conn, in)
	if tag == "" {
		return
	}
	log, err := os.OpenFile(s.path("log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer log.Close()
	// Debian's configuration, but for how often it looks for new mail in IDLE: each second, not
	// each minute.
	imapd := s.command("/bin/sh", "-c", `set -a && . "$0" && IMAP_IDLE_TIMEOUT=1 && exec "$@"`,
		filepath.Join(s.root, "etc/courier/imapd"), s.program("imapd"), "Maildir")
	imapd.Env = append(imapd.Env, "HOME="+s.folder, "AUTHENTICATED="+s.User, "IMAPLOGINTAG="+tag, "PROTOCOL=IMAP",
		"TCPREMOTEIP="+s.Host, "TCPREMOTEPORT=0")
	imapd.SysProcAttr.Setpgid, imapd.SysProcAttr.Pgid = true, group
	imapd.Stdout, imapd.Stderr = conn, log
	said, err := imapd.StdinPipe()
	if err != nil {
		return
	}
	if err := imapd.Start(); err != nil {
		fmt.Fprintln(log, "start imapd:", err)
		return
	}
	s.serving.Go(func() {
		io.Copy(said, in)
		said.Close()
	})
	imapd.Wait() // what ends it is its client or Stop
}

// logIn is Courier's front until the right user has logged in, and returns the tag of that command,
// which imapd answers; "": the client is gone.
func (s *CourierServer) logIn(conn io.Writer, in *bufio.Reader) (tag string) {
	const caps = "CAPABILITY IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"
	fmt.Fprintf(conn, "* OK [%s] Courier-IMAP ready. %s\r\n", caps, filepath.Base(s.folder))
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return ""
		}
		words := strings.Fields(strings.ReplaceAll(line, `"`, ""))
		if len(words) < 2 {
			return ""
		}
		switch command := strings.ToUpper(words[1]); {
		case command == "CAPABILITY":
			fmt.Fprintf(conn, "* %s\r\n%s OK CAPABILITY completed\r\n", caps, words[0])
		case command == "LOGIN" && slices.Equal(words[2:], []string{s.User, s.Password}):
			return words[0]
		case command == "LOGIN":
			fmt.Fprintf(conn, "%s NO Login failed.\r\n", words[0])
		default:
			fmt.Fprintf(conn, "%s NO Error in IMAP command received by server.\r\n", words[0])
		}
	}
}

// Deliver puts a message into a folder of the only user's, as maildrop does, also while the server
// is stopped. Beside INBOX they are named like INBOX.Work.
func (s *CourierServer) Deliver(t testing.TB, _, folder string, message []byte) {
	t.Helper()
	s.delivered++
	maildir := s.path(filepath.Join("Maildir", strings.TrimPrefix(folder, "INBOX")))
	name := fmt.Sprintf("%d.%d.imaptest", time.Now().Unix(), s.delivered)
	file := filepath.Join(maildir, "tmp", name)
	if err := os.WriteFile(file, message, 0o600); err != nil {
		t.Fatal(err)
	}
	s.own(t, file)
	if err := os.Rename(file, filepath.Join(maildir, "new", name)); err != nil {
		t.Fatal(err)
	}
}
