// Package registrytest has helpers for tests of the packages above the registry. They make stores
// that do not wait for the disk, data folders with users, logs that must not contain secrets, and
// movable clocks. It is a package of its own because registry must not import testing.
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

	"idlepush"
	"idlepush/registry"
)

const (
	// SecretMarker is part of every secret in tests, and of the text of mails. No log may contain
	// it.
	SecretMarker = "planted"

	// Password is the login password of all users.
	Password = SecretMarker + " login password"
)

// Open opens the store in dir, without syncs and without bounds on what a user may have. The caller
// closes it.
func Open(t testing.TB, dir string) *registry.Store {
	t.Helper()
	return OpenFailing(t, dir, nil)
}

// OpenFailing is like Open. Each transaction of the store first calls fault, and fails with its
// error.
func OpenFailing(t testing.TB, dir string, fault func() error) *registry.Store {
	t.Helper()
	s, err := open(dir, fault, true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// OpenBounded is like Open, with the bounds of the program on what a user may have.
func OpenBounded(t testing.TB, dir string) *registry.Store {
	t.Helper()
	s, err := open(dir, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a store while no process is being started. Between fork and exec a child has a copy of
// every open file, and may hold the lock of one that was just closed. In a synctest bubble the wait
// for that lock would time out at once.
func open(dir string, fault func() error, unlimited bool) (*registry.Store, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return registry.Open(dir, registry.Options{NoSync: true, Fault: fault, Unlimited: unlimited, QuickHash: true})
}

// madeFolder makes a data folder with users, once in a test process: the hash of a password takes
// longer than most tests.
var madeFolder = sync.OnceValues(func() (folder, error) {
	dir, err := os.MkdirTemp("", "registrytest")
	if err != nil {
		return folder{}, err
	}
	defer os.RemoveAll(dir)
	s, err := open(dir, nil, true)
	if err != nil {
		return folder{}, err
	}
	created := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when a synctest bubble begins
	token, err := s.Users.SetupToken()
	if err != nil {
		return folder{}, errors.Join(err, s.Close())
	}
	var made folder
	var errs [2]error
	made.anna, _, errs[0] = s.Users.Setup(token, "Anna", Password, "https://house.example.net", nil, created)
	made.ben, errs[1] = s.Users.Add("Ben", Password, false, "", "", created)
	// It was an admin who chose that password, and now it is Ben.
	_, err = s.Users.UpdateOwn(made.ben.ID, registry.Proof{Password: Password}, registry.UserPatch{Password: Password}, time.Now())
	if err := errors.Join(errs[0], errs[1], err, s.Close()); err != nil {
		return folder{}, err
	}
	made.files = make(map[string][]byte)
	list, err := os.ReadDir(dir)
	for _, f := range list {
		data, err := os.ReadFile(dir + "/" + f.Name())
		if err != nil {
			return folder{}, err
		}
		made.files[f.Name()] = data
	}
	return made, err
})

// folder is a data folder in memory.
type folder struct {
	files     map[string][]byte
	anna, ben idlepush.User
}

// DirWithUsers returns a new data folder whose store has two users: Anna, an admin, and Ben.
func DirWithUsers(t testing.TB) (dir string, anna, ben idlepush.User) {
	t.Helper()
	made, err := madeFolder()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, data := range made.files {
		if err := os.WriteFile(dir+"/"+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, made.anna, made.ben
}

// Log keeps all that is written to it. Its methods may be called from several goroutines.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// NewLog returns a logger of every level, and the Log that keeps its lines. At its end the test
// fails if a line contains SecretMarker. A test that fails, for any reason, prints all lines.
func NewLog(t testing.TB) (*slog.Logger, *Log) {
	t.Helper()
	l := new(Log)
	t.Cleanup(func() {
		for line := range strings.Lines(l.String()) {
			if strings.Contains(line, SecretMarker) {
				t.Errorf("a secret is logged: %s", line)
			}
		}
		if t.Failed() {
			t.Log(l.String())
		}
	})
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), l
}

// Write implements io.Writer. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all text so far.
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

// Move moves the clock forward, or back if by is negative.
func (c *Clock) Move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
}
