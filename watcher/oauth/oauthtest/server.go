// Package oauthtest is an authorization server for the tests of OAuth2. It is strict: it refuses
// what RFC 6749, 7636 and 8628 let a server refuse, and what real providers refuse.
//
// It serves programs and real browsers on a loopback address, or one test in memory, in a
// synctest bubble. Mail servers ask it whose a token is. Nothing of the package is in the
// daemon.
package oauthtest

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"idlepush/netguard"
	"idlepush/watcher/oauth"
)

// Server is an authorization server. It may be used from several goroutines, and ends with its
// test.
type Server struct {
	Issuer string         // its URL
	Roots  *x509.CertPool // its certificate; nil in memory
	CAFile string         // the same as a PEM file, fit for SSL_CERT_FILE; Dovecot can read it, too

	http  *httptest.Server
	pipes *pipes // nil: it listens on a loopback address

	mu       sync.Mutex
	settings Settings
	clients  map[string]registration
	people   []Person
	pages    map[string]*page       // by the secret in their forms
	codes    map[string]*grant      // of consents that are not traded yet, or were
	devices  map[string]*deviceCode // by their device codes
	tokens   map[string]*token      // access and refresh tokens
	faults   []*armed
	counts   Counts
}

// Settings are what differs between providers.
type Settings struct {
	AccessLife  time.Duration // of access tokens
	RefreshLife time.Duration // of refresh tokens that are not used
	Says        time.Duration // what expires_in says; 0: AccessLife
	Rotation    Rotation
	Skew        time.Duration // by how much its clock is ahead
	Interval    time.Duration // between two questions with a device code
	DeviceLife  time.Duration // of a device code
	// OnlineOnly makes it give refresh tokens only to requests with access_type=offline, as Google
	// does.
	OnlineOnly bool
}

// Rotation is what a refresh does to the refresh token.
type Rotation int

const (
	// Strict issues a new one and ends the old one. Use of an old one ends the consent (RFC 9700
	// section 4.14.2).
	Strict Rotation = iota
	// Rolling issues a new one, and the old ones stay valid, as with Microsoft.
	Rolling
	// Keep gives none: the first one stays valid, as with Google.
	Keep
)

// Person is somebody who can log in, and consent for each of the mailboxes.
type Person struct {
	Name, Password string
	Mailboxes      []string
}

// Counts are how often something has happened.
type Counts struct {
	Codes     int // codes that were traded
	Refreshes int // refreshes that were granted
	Refused   int // requests for tokens that were refused, without device codes that wait
	Reused    int // codes and refresh tokens that were used although others had taken their place
	Known     int // questions of mail servers about tokens that are valid
	Unknown   int // and about others
}

type registration struct {
	secret    string // empty: a public client
	redirects []string
}

// New starts a server on a loopback address.
func New(t testing.TB) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := prepare(t, listener)
	s.Issuer = "https://" + listener.Addr().String()
	s.http.StartTLS()
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(s.http.Certificate())
	// A mail server that runs as another user reads it.
	folder, err := os.MkdirTemp("", "oauth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	s.CAFile = filepath.Join(folder, "oauth.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.CAFile, certificate, 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// InMemory starts a server that only HTTP reaches, without encryption although its URLs are https.
// Called in a synctest bubble, it belongs to it.
func InMemory(t testing.TB) *Server {
	t.Helper()
	listener := &pipes{accepting: make(chan net.Conn), closed: make(chan struct{})}
	s := prepare(t, listener)
	s.Issuer, s.pipes = "https://login.example.com", listener
	s.http.Start()
	return s
}

func prepare(t testing.TB, listener net.Listener) *Server {
	s := &Server{
		settings: Settings{AccessLife: time.Hour, RefreshLife: 90 * 24 * time.Hour, Interval: 5 * time.Second, DeviceLife: 15 * time.Minute},
		clients:  make(map[string]registration), pages: make(map[string]*page), codes: make(map[string]*grant),
		devices: make(map[string]*deviceCode), tokens: make(map[string]*token),
	}
	s.http = httptest.NewUnstartedServer(s.routes())
	s.http.Listener.Close()
	s.http.Listener = listener
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.http.Close)
	return s
}

// HTTP returns a client that reaches this server and no other.
func (s *Server) HTTP() *http.Client {
	if s.pipes != nil {
		return &http.Client{Transport: &http.Transport{DialTLSContext: s.pipes.dial, DisableKeepAlives: true}}
	}
	return oauth.NewHTTP(netguard.At(s.http.Listener.Addr()).Permit, s.Roots)
}

// Provider returns the server as discovery finds it.
func (s *Server) Provider() oauth.Provider {
	return oauth.Provider{
		Name: s.Issuer, Title: "the test's provider", Issuer: s.Issuer,
		AuthURL: s.Issuer + authorizePath, TokenURL: s.Issuer + TokenPath, DeviceURL: s.Issuer + DevicePath,
		Scopes: []string{"imap", "offline_access"}, NamesItself: true,
	}
}

// Client returns a client of this server, registered with Register.
func (s *Server) Client(id string) oauth.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return oauth.Client{Provider: s.Provider(), ID: id, Secret: secretOf(s.clients[id]), HTTP: s.HTTP()}
}

// Register makes a client known, or changes it. Without a secret it is a public one. The server
// sends browsers to exactly these URLs.
func (s *Server) Register(id, secret string, redirects ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[id] = registration{secret, redirects}
}

// Forget makes a client unknown.
func (s *Server) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, id)
}

// AddPerson makes a person known.
func (s *Server) AddPerson(p Person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people = append(s.people, p)
}

// Set changes the settings.
func (s *Server) Set(change func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.settings)
}

// Counts returns how often something has happened.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// now is the time by the server's clock.
func (s *Server) now() time.Time { return time.Now().Add(s.settings.Skew) }
