package discover

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNet is a domain's servers and the third parties, in memory, under their real names and one
// authority of its own. It needs no network, so that it runs in a synctest bubble.
type testNet struct {
	t     testing.TB
	pages map[string]http.HandlerFunc // by host
	imap  []string                    // hosts with a mail server on port 993
	mx    map[string][]*net.MX
	srv   map[string][]*net.SRV // by service and domain

	mu    sync.Mutex
	asked []string // host and path and query of each request
}

func newTestNet(t testing.TB) *testNet {
	return &testNet{t: t, pages: map[string]http.HandlerFunc{}, mx: map[string][]*net.MX{}, srv: map[string][]*net.SRV{}}
}

func (tn *testNet) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	if list := tn.mx[name]; list != nil {
		return list, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (tn *testNet) LookupSRV(_ context.Context, service, _, name string) (string, []*net.SRV, error) {
	if list := tn.srv[service+" "+name]; list != nil {
		return "", list, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (tn *testNet) requests() string {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	slices.Sort(tn.asked)
	return strings.Join(tn.asked, "\n")
}

// finder returns a Finder that uses only this network.
func (tn *testNet) finder() *Finder {
	var names []string
	for host := range tn.pages {
		names = append(names, host)
	}
	names = append(names, tn.imap...)
	certificate, pool := authority(tn.t, names)
	pages, mail := newMemoryListener(), newMemoryListener()
	web := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tn.mu.Lock()
		tn.asked = append(tn.asked, r.Host+r.URL.RequestURI())
		tn.mu.Unlock()
		tn.pages[r.Host](w, r)
	})}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	var serving sync.WaitGroup
	serving.Go(func() { web.Serve(tls.NewListener(pages, config)) })
	serving.Go(func() { greet(tls.NewListener(mail, config)) })
	tn.t.Cleanup(func() {
		web.Close()
		mail.Close()
		serving.Wait()
	})
	return &Finder{Resolver: tn, roots: pool, dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		host, port, _ := net.SplitHostPort(address)
		switch {
		case port == "443" && tn.pages[host] != nil:
			return pages.dial(ctx)
		case port == "993" && slices.Contains(tn.imap, host):
			return mail.dial(ctx)
		}
		return nil, errors.New("nobody is there")
	}}
}

// greet is a mail server that servesConfig hello.
func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Write([]byte("* OK [CAPABILITY IMAP4rev1] hello\r\n"))
		c.Close()
	}
}

// memoryListener is a listener in memory. Close closes its connections too: on a pipe, closing a
// TLS connection waits 5 s for the other side to read its alert.
type memoryListener struct {
	callers chan net.Conn
	closed  chan struct{}
	close   func()

	mu    sync.Mutex
	conns []net.Conn
}

func newMemoryListener() *memoryListener {
	s := &memoryListener{callers: make(chan net.Conn), closed: make(chan struct{})}
	s.close = sync.OnceFunc(func() {
		close(s.closed)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.conns {
			c.Close()
		}
	})
	return s
}

func (s *memoryListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case s.callers <- server:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns = append(s.conns, server)
		return client, nil
	case <-s.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-s.callers:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *memoryListener) Close() error {
	s.close()
	return nil
}

func (s *memoryListener) Addr() net.Addr { return new(net.TCPAddr) }

func authority(t testing.TB, names []string) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: names,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// servesConfig is a page with a configuration file whose server is host.
func servesConfig(host string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(configFile(host))) }
}

func configFile(host string) string {
	return `<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="x"><domain>example.org</domain>
		<incomingServer type="pop3"><hostname>pop.example.org</hostname><port>995</port><socketType>SSL</socketType><username>%EMAILADDRESS%</username></incomingServer>
		<incomingServer type="imap"><hostname>` + host + `</hostname><port>993</port><socketType>SSL</socketType><username>%EMAILLOCALPART%</username><authentication>password-cleartext</authentication></incomingServer>
		<incomingServer type="imap"><hostname>plain.example.org</hostname><port>143</port><socketType>plain</socketType><username>%EMAILADDRESS%</username></incomingServer>
		</emailProvider></clientConfig>`
}
