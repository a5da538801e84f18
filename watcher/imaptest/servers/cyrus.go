package servers

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"idlepush/registry/testenv"
)

// unpacked is where .ci/install unpacks Debian's packages of Cyrus and Courier, which cannot be
// installed beside Dovecot.
const unpacked = "/opt/imaptest"

// CyrusServer is a real Cyrus that belongs to one test, as Server is a Dovecot. Its mail needs its
// own processes, so delivery to a stopped server starts it for a moment, without IMAP. It logs by
// syslog alone, so a test that fails shows little of it.
type CyrusServer struct {
	rig

	bin string // the folder of its programs
}

// Cyrus starts a Cyrus (Debian: cyrus-imapd, cyrus-common, sasl2-bin) with an empty mailbox for one
// user. Without one the test is skipped, or fails; see testenv.Missing.
func Cyrus(t testing.TB) *CyrusServer {
	t.Helper()
	root := filepath.Join(unpacked, "cyrus")
	s := &CyrusServer{bin: filepath.Join(root, "usr/lib/cyrus/bin")}
	if _, err := os.Stat(filepath.Join(s.bin, "imapd")); err != nil {
		testenv.Missing(t, "cyrus-imapd is not unpacked: "+err.Error())
	}
	s.rig.make(t, "cyrus", s.Stop)
	s.env = libraries(t, root)
	s.write(t, "imapd.conf", []byte(s.configuration()))
	s.write(t, "cyrus.conf", []byte(s.services(true)))
	s.write(t, "delivery.conf", []byte(s.services(false)))
	password := s.command(filepath.Join(root, "usr/sbin/saslpasswd2"), "-p", "-c", "-f", s.path("sasldb2"), "-u", filepath.Base(s.folder), s.User)
	password.Stdin = strings.NewReader(s.Password)
	if said, err := password.CombinedOutput(); err != nil {
		t.Fatalf("set a password: %v: %s", err, said)
	}
	s.Start(t)
	// A login makes the mailbox.
	if err := s.Client(t).Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	return s
}

// libraries are the shared ones of a package that was unpacked, as its programs' environment.
func libraries(t testing.TB, root string) []string {
	t.Helper()
	folders := []string{filepath.Join(root, "usr/lib")}
	for _, pattern := range []string{"lib/*-linux-gnu", "usr/lib/*-linux-gnu"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, found...)
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(folders, ":")}
}

// configuration is its imapd.conf. A login that is refused takes no 3 s.
func (s *CyrusServer) configuration() string {
	return strings.NewReplacer("FOLDER", s.folder, "NAME", filepath.Base(s.folder), "OWNER", s.owner.name).Replace(`
cyrus_user: OWNER
servername: NAME
configdirectory: FOLDER/config
defaultpartition: default
partition-default: FOLDER/mail
admins: admin
unixhierarchysep: yes
altnamespace: yes
autocreate_quota: 0
autocreate_post: yes
duplicatesuppression: no
allowplaintext: yes
failedloginpause: 0s
tls_server_cert: FOLDER/certificate.pem
tls_server_key: FOLDER/key.pem
sasl_mech_list: PLAIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: FOLDER/sasldb2
`)
}

// services is its cyrus.conf, with IMAP or with delivery alone. idled is what tells of new mail at
// once.
func (s *CyrusServer) services(serve bool) string {
	text := `
START {
  recover cmd="BIN/ctl_cyrusdb -C FOLDER/imapd.conf -r"
  idled cmd="BIN/idled -C FOLDER/imapd.conf"
}
SERVICES {
  lmtp cmd="BIN/lmtpd -C FOLDER/imapd.conf" listen="FOLDER/config/socket/lmtp"
`
	if serve {
		text += `
  imap cmd="BIN/imapd -C FOLDER/imapd.conf" listen="127.0.0.1:PLAINPORT"
  imaps cmd="BIN/imapd -C FOLDER/imapd.conf -s" listen="127.0.0.1:TLSPORT"
`
	}
	return strings.NewReplacer("FOLDER", s.folder, "BIN", s.bin, "PLAINPORT", strconv.Itoa(s.Port),
		"TLSPORT", strconv.Itoa(s.TLSPort)).Replace(text + "}\n")
}

// Start starts a stopped server again, on the same ports and with the mail it had, and returns when
// it answers.
func (s *CyrusServer) Start(t testing.TB) {
	t.Helper()
	s.startBy(t, "cyrus.conf")
	ctx := testenv.Context(t)
	testenv.Await(t, "cyrus greets", func() error { return s.greets(ctx) })
}

// startBy starts the server by a cyrus.conf.
func (s *CyrusServer) startBy(t testing.TB, services string) {
	t.Helper()
	// A master that was just killed may hold its lock on the file with its number for a moment yet.
	for _, old := range []string{"pid", "config/socket"} {
		if err := os.RemoveAll(s.path(old)); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"config", "config/socket"} {
		if err := os.MkdirAll(s.path(folder), 0o700); err != nil {
			t.Fatal(err)
		}
		s.own(t, s.path(folder))
	}
	s.start(t, s.command(filepath.Join(s.bin, "master"), "-D", "-C", s.path("imapd.conf"), "-M", s.path(services), "-p", s.path("pid")))
}

// Stop kills the server as a power cut would; see Server.Stop.
func (s *CyrusServer) Stop(t testing.TB) {
	t.Helper()
	if s.run != nil {
		s.kill(t)
	}
}

// Deliver puts a message into a folder of the user's, as a mail server does (LMTP), also while the
// server is stopped.
func (s *CyrusServer) Deliver(t testing.TB, user, folder string, message []byte) {
	t.Helper()
	if s.run == nil {
		s.startBy(t, "delivery.conf")
		defer s.Stop(t)
	}
	testenv.Await(t, "cyrus takes mail", func() error {
		_, err := os.Stat(s.path("config/socket/lmtp"))
		return err
	})
	args := []string{"-C", s.path("imapd.conf"), "-a", user}
	if folder != "INBOX" {
		args = append(args, "-m", folder)
	}
	deliver := s.command(filepath.Join(s.bin, "deliver"), append(args, user)...)
	deliver.Stdin = bytes.NewReader(message)
	if said, err := deliver.CombinedOutput(); err != nil {
		t.Fatalf("deliver to %s of %s: %v: %s", folder, user, err, said)
	}
}
