// Package registrytest holds what the tests of the packages above the registry share: a store that
// does not wait for the disk, a data folder with users, a log that must hold no secret, and a clock
// that can be moved. It is a package of its own because the registry must not import testing.
package registrytest

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"idlepush/registry"
)

const (
	// Planted is part of every secret in tests and of the words of their mails: no log may hold it.
	Planted = "planted"

	// Password is everybody's.
	Password = Planted + " login password"
)

// Open opens the store in dir, unsynced. The caller closes it.
func Open(t testing.TB, dir string) *registry.Store {
	t.Helper()
	return OpenFailing(t, dir, nil)
}

// OpenFailing opens a store like Open. Each of its transactions first calls fault, and fails with its
// error.
func OpenFailing(t testing.TB, dir string, fault func() error) *registry.Store {
	t.Helper()
	s, err := open(dir, fault)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a store while no process is being started: between fork and exec a child has a copy of
// every file, and would hold the lock of one that was just closed. In a synctest bubble the wait for
// that lock is over at once.
func open(dir string, fault func() error) (*registry.Store, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return registry.Open(dir, registry.Options{NoSync: true, Fault: fault})
}

// furnished makes a data folder with users, once in a test process: hashing a password takes longer
// than most tests.
var furnished = sync.OnceValues(func() (home, error) {
	dir, err := os.MkdirTemp("", "furnished")
	if err != nil {
		return home{}, err
	}
	defer os.RemoveAll(dir)
	s, err := open(dir, nil)
	if err != nil {
		return home{}, err
	}
	began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // no later than a synctest bubble begins
	token, err := s.Users.SetupToken()
	if err != nil {
		return home{}, errors.Join(err, s.Close())
	}
	var h home
	var failed [2]error
	h.anna, _, failed[0] = s.Users.Setup(token, "Anna", Password, "https://house.example.net", nil, began)
	h.ben, failed[1] = s.Users.Add("Ben", Password, false, began)
	if err := errors.Join(failed[0], failed[1], s.Close()); err != nil {
		return home{}, err
	}
	h.files = make(map[string][]byte)
	list, err := os.ReadDir(dir)
	for _, f := range list {
		data, err := os.ReadFile(dir + "/" + f.Name())
		if err != nil {
			return home{}, err
		}
		h.files[f.Name()] = data
	}
	return h, err
})

type home struct {
	files     map[string][]byte
	anna, ben registry.User
}

// Furnish returns a new data folder whose store has two users: Anna, an admin, and Ben.
func Furnish(t testing.TB) (dir string, anna, ben registry.User) {
	t.Helper()
	h, err := furnished()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, data := range h.files {
		if err := os.WriteFile(dir+"/"+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, h.anna, h.ben
}

// Log keeps what is logged.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// NewLog returns a logger of every level, and the Log that keeps its lines. At its end the test fails
// for each line with Planted in it. A test that fails, for whatever reason, shows all lines.
func NewLog(t testing.TB) (*slog.Logger, *Log) {
	t.Helper()
	l := new(Log)
	t.Cleanup(func() {
		for line := range strings.Lines(l.String()) {
			if strings.Contains(line, Planted) {
				t.Errorf("a secret is logged: %s", line)
			}
		}
		if t.Failed() {
			t.Log(l.String())
		}
	})
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), l
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all lines so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Clock is a wall clock that tests can move. The zero Clock shows the real time.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now returns the time on the clock, without a monotonic reading.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset).Round(0)
}

// Move moves the clock ahead, or back if by is negative.
func (c *Clock) Move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
}
