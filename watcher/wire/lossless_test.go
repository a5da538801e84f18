package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	mathrand "math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

func TestNoMailIsLost(t *testing.T) {
	t.Parallel()
	t.Run("each message is fetched once whenever it is announced", announcedAnyTime)
	t.Run("each EXISTS is counted whenever it comes", everyExistsCounted)
}

// The server sends EXISTS whenever it may, in pieces of every size, between answers that look like
// something else. Refresh is far away, so that a mail that was not reported would not be found in
// time.
func announcedAnyTime(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	seed := testenv.Seed(t)
	for turn := range uint64(testenv.Tenth(300)) {
		for _, secure := range []*tls.Config{nil, {Certificates: []tls.Certificate{certificate}}} {
			if secure != nil && turn%4 != 0 {
				continue // TLS costs ten times as much
			}
			synctest.Test(t, func(t *testing.T) { followAll(t, seed, turn, secure) })
		}
	}
}

func followAll(t *testing.T, seed, turn uint64, secure *tls.Config) {
	const mails = 20
	random := mathrand.New(mathrand.NewPCG(seed, turn))
	script := &imaptest.Script{Coalesce: turn%5 == 4}
	if most := []int{1, 3, 50, 1000, 0}[turn%5]; most > 0 {
		script.Cut = func(int) int { return 1 + random.IntN(most) }
	}
	delivered, selected := 0, false
	script.At = func(talk *imaptest.Talk, moment string) {
		if selected = selected || moment == "after EXAMINE"; !selected {
			return
		}
		noise(talk, random)
		// In IDLE there must be news at last, or the session would wait for its refresh.
		for chance := 3; delivered < mails && (random.IntN(chance) == 0 || moment == "within IDLE" && chance == 3); chance++ {
			delivered++
			talk.Deliver(trickyMail(delivered))
		}
	}
	began := time.Now()
	c, stop := pipe(t, script, DefaultLimits, secure)
	defer stop()
	f := follower{conn: c, next: 1}
	if err := f.run(mails, 1000); err != nil {
		t.Fatalf("turn %d: after %d mails: %v", turn, len(f.got), err)
	}
	if waited := time.Since(began); waited >= testRefresh {
		t.Errorf("turn %d: a mail was found by looking, after %v", turn, waited)
	}
	for i := range mails {
		if len(f.got) != mails || f.got[i] != imap.UID(i+1) {
			t.Fatalf("turn %d: mails %v", turn, f.got)
		}
	}
}

// noise sends lines that a client must ignore.
func noise(talk *imaptest.Talk, random *mathrand.Rand) {
	switch random.IntN(8) {
	case 0:
		talk.Say("* OK still here {12}\r\n")
	case 1:
		talk.Say("* 1 FETCH (FLAGS (\\Seen))\r\n")
	case 2:
		talk.Say("* VANISHED 77\r\n")
	case 3:
		talk.Say("* NO (\"open {3}\r\n")
	}
}

func everyExistsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		said := map[string]int{}
		script := &imaptest.Script{}
		script.At = func(talk *imaptest.Talk, moment string) {
			if moment != "after DONE" && moment != "after IDLE" {
				said[moment]++
				talk.Deliver(imaptest.Message{})
			}
		}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		if err := c.Do("NOOP", testTimeout); err != nil {
			t.Fatal(err)
		}
		before := c.News().Exists
		c.Forget()
		news, err := c.Idle(testRefresh, testTimeout, IdleOptions{})
		if err != nil {
			t.Fatal(err)
		}
		stop()
		want := 1 // EXAMINE's own
		for _, n := range said {
			want += n
		}
		if got := before + news.Exists; got != want {
			t.Errorf("counted %d EXISTS of %d: %v", got, want, said)
		}
		for _, moment := range []string{"within LOGIN", "after EXAMINE", "before NOOP", "after NOOP", "before IDLE", "within IDLE", "within DONE"} {
			if said[moment] != 1 {
				t.Errorf("%s: said %d times", moment, said[moment])
			}
		}
	})
}

func testCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	certificate, err := makeCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// makeCertificate signs itself, for mail.test.
func makeCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.test"}, DNSNames: []string{"mail.test"},
		// The clock of a synctest bubble begins in 2000.
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
