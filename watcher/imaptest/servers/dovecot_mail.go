package servers

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"idlepush/registry/testenv"
)

// AddUser adds a user with an empty mailbox, or sets another password for a known one, and returns
// when the server goes by it.
func (s *Server) AddUser(t testing.TB, user, password string) {
	t.Helper()
	known, err := os.ReadFile(s.path("users"))
	if err != nil {
		t.Fatal(err)
	}
	var users strings.Builder
	for line := range strings.Lines(string(known)) {
		if !strings.HasPrefix(line, user+":") {
			users.WriteString(line)
		}
	}
	users.WriteString(user + ":{PLAIN.b64}" + base64.StdEncoding.EncodeToString([]byte(password)) + "::::::\n")
	s.write(t, "users", []byte(users.String()))
	for _, folder := range []string{filepath.Dir(s.home(user)), s.home(user)} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		s.own(t, folder)
	}
	// Dovecot looks at the file once a second.
	if s.run == nil {
		return
	}
	testenv.Await(t, "dovecot takes the password of "+user, func() error {
		said, err := s.command("", "doveadm", "-c", s.path("dovecot.conf"), "auth", "test", user, password).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return err
	})
}

// Deliver puts a message into a folder of the user as a mail server does, by dovecot-lda, and makes
// the folder if need be. The server may be stopped. Lines may end in LF or CRLF.
func (s *Server) Deliver(t testing.TB, user, folder string, message []byte) {
	t.Helper()
	programs, err := exec.Command("doveconf", "-c", s.path("dovecot.conf"), "-h", "libexec_dir").Output()
	if err != nil {
		t.Fatal(err)
	}
	agent := filepath.Join(strings.TrimSpace(string(programs)), "dovecot-lda")
	lda := s.command(user, agent, "-c", s.path("dovecot.conf"), "-e", "-m", folder)
	lda.Stdin = bytes.NewReader(message)
	if said, err := lda.CombinedOutput(); err != nil {
		t.Fatalf("deliver to %s of %s: %v: %s", folder, user, err, said)
	}
}

// CreateFolder makes an empty folder; its name is in UTF-8, with / or . between the levels as the
// namespace has it.
func (s *Server) CreateFolder(t testing.TB, user, folder string) {
	t.Helper()
	s.Doveadm(t, user, "mailbox", "create", folder)
}

// Flags returns the flags of every message of a folder by UID, \Recent among them, as Dovecot lists
// them. It does not go through IMAP and changes nothing, so it can prove that nothing else did
// either.
func (s *Server) Flags(t testing.TB, user, folder string) map[uint32]string {
	t.Helper()
	found := map[uint32]string{}
	lines := strings.Lines(s.Doveadm(t, user, "-f", "tab", "fetch", "uid flags", "mailbox", folder))
	for line := range lines {
		uid, flags, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if uid == "uid" {
			continue
		}
		n, err := strconv.ParseUint(uid, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		found[uint32(n)] = flags
	}
	return found
}

// Doveadm runs one doveadm command as the user and returns what it printed. The arguments are such
// as ("flags", "add", `\Seen`, "mailbox", "INBOX", "uid", "3"). It works on the files: sessions get
// the same reports as if another client had changed the mail.
func (s *Server) Doveadm(t testing.TB, user string, args ...string) string {
	t.Helper()
	out, err := s.command(user, "doveadm", append([]string{"-c", s.path("dovecot.conf")}, args...)...).Output()
	if err != nil {
		var said []byte
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			said = exit.Stderr
		}
		t.Fatalf("doveadm %s: %v: %s", strings.Join(args, " "), err, said)
	}
	return string(out)
}

// DropConnections ends every connection of the user's with a BYE, as an administrator's kick or a
// restart of the server does. Having no connection is no error. New ones are taken.
func (s *Server) DropConnections(t testing.TB, user string) {
	t.Helper()
	// 68: nobody of that name is connected.
	kick := s.command("", "doveadm", "-c", s.path("dovecot.conf"), "kick", user)
	if said, err := kick.CombinedOutput(); err != nil && kick.ProcessState.ExitCode() != 68 {
		t.Fatalf("kick %s: %v: %s", user, err, said)
	}
}

// ResetUIDValidity loses the UIDs of a folder, as a mail store that was restored or moved does: the
// mails and their flags stay, but are numbered from 1 again under another UIDVALIDITY. A running
// server stops for it, so that nobody holds the old numbers, and is running again when it returns.
func (s *Server) ResetUIDValidity(t testing.TB, user, folder string) {
	t.Helper()
	mails := strings.TrimSpace(s.Doveadm(t, user, "mailbox", "path", folder))
	running := s.run != nil
	s.Stop(t)
	for _, pattern := range []string{
		filepath.Join(mails, "dovecot-uidlist"),
		filepath.Join(mails, "dovecot.index*"),
		filepath.Join(s.home(user), "mail", "dovecot.list.index*"),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	if running {
		s.Start(t)
	}
}

func (s *Server) home(user string) string { return filepath.Join(s.folder, "home", user) }

// Backup copies the user's mailbox as it is; the server must be stopped.
func (s *Server) Backup(t testing.TB, user string) {
	s.copyHome(t, s.home(user), s.home(user)+".backup")
}

// Restore replaces the user's mailbox by the copy of Backup; the server must be stopped.
func (s *Server) Restore(t testing.TB, user string) {
	if err := os.RemoveAll(s.home(user)); err != nil {
		t.Fatal(err)
	}
	s.copyHome(t, s.home(user)+".backup", s.home(user))
}

func (s *Server) copyHome(t testing.TB, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy a mailbox: %v: %s", err, out)
	}
}

// Move moves the first user's mails of INBOX with this subject to a folder, as another client does:
// by IMAP MOVE (RFC 6851).
func (s *Server) Move(t testing.TB, subject, folder string) {
	t.Helper()
	client := s.Client(t)
	defer client.Close()
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := client.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: subject}}}, nil).Wait()
	if err != nil || len(found.AllUIDs()) == 0 {
		t.Fatalf("no mail to move: %v", err)
	}
	if _, err := client.Move(found.All, folder).Wait(); err != nil {
		t.Fatal(err)
	}
}
