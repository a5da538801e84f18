package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry/registrytest"
)

func TestSocket(t *testing.T) {
	t.Parallel()
	t.Run("a command reaches the daemon, and the socket is gone afterwards", socketReached)
	t.Run("nobody else may open it, whatever the umask is", socketMode)
	t.Run("one that a crash has left is replaced", socketStale)
	t.Run("a link in its place is replaced, and nothing behind it changes", socketLink)
	t.Run("without a daemon a command finds none", socketOfNobody)
	t.Run("an answer that fails in the middle is not taken for a whole one", socketFails)
	t.Run("an answer may take long, but not be silent for long", socketSilent)
}

// serveHello serves a command that says hello by the socket of the folder. stop ends it.
func serveHello(t *testing.T, dir string) (stop func()) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hello", answerCommand(func(name string) (string, error) {
		if name == "" {
			return "", errors.New("want a name")
		}
		return "hello " + name, nil
	}))
	return serveSocket(t, dir, mux)
}

// serveSocket serves commands by the socket of the folder. stop ends it.
func serveSocket(t *testing.T, dir string, mux *http.ServeMux) (stop func()) {
	t.Helper()
	l, err := listenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	log, _ := registrytest.NewLog(t)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := serveHTTP(ctx, l, mux, log); err != nil {
			t.Error(err)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// hello asks the daemon of the folder.
func hello(t *testing.T, dir, name string) (answer string, err error) {
	t.Helper()
	err = askDaemon(t.Context(), dir, "/hello", name, &answer)
	return answer, err
}

func socketReached(t *testing.T) {
	t.Parallel()
	short := t.TempDir()
	long := filepath.Join(t.TempDir(), strings.Repeat("a long name ", 10))
	for _, dir := range []string{short, long} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		stop := serveHello(t, dir)
		if answer, err := hello(t, dir, "Anna"); err != nil || answer != "hello Anna" {
			t.Errorf("%q, %v", answer, err)
		}
		if _, err := hello(t, dir, ""); err == nil || err.Error() != "want a name" {
			t.Errorf("an error is %v", err)
		}
		stop()
		if _, err := hello(t, dir, "Anna"); !errors.Is(err, errNoDaemon) {
			t.Errorf("afterwards: %v", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("it leaves %v, %v", left, err)
		}
	}
}

func socketMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	defer serveHello(t, dir)()
	info, err := os.Lstat(filepath.Join(dir, socketFile))
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

func socketStale(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	crashed, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, socketFile)})
	if err != nil {
		t.Fatal(err)
	}
	crashed.SetUnlinkOnClose(false)
	if err := crashed.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := hello(t, dir, "Anna"); !errors.Is(err, errNoDaemon) {
		t.Errorf("before: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, socketFile+".new"), 0o700); err != nil {
		t.Fatal(err)
	}
	defer serveHello(t, dir)()
	if answer, err := hello(t, dir, "Anna"); err != nil || answer != "hello Anna" {
		t.Errorf("%q, %v", answer, err)
	}
}

func socketLink(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	kept := filepath.Join(elsewhere, "kept")
	if err := os.WriteFile(kept, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{socketFile: kept, socketFile + ".new": elsewhere} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	stop := serveHello(t, dir)
	if answer, err := hello(t, dir, "Anna"); err != nil || answer != "hello Anna" {
		t.Errorf("%q, %v", answer, err)
	}
	stop()
	text, err := os.ReadFile(kept)
	info, statErr := os.Stat(kept)
	list, listErr := os.ReadDir(elsewhere)
	if err := errors.Join(err, statErr, listErr); err != nil || !bytes.Equal(text, []byte("kept")) || info.Mode() != 0o644 || len(list) != 1 {
		t.Errorf("behind the link are %q with mode %v and %v, %v", text, info.Mode(), list, err)
	}
}

func socketOfNobody(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{t.TempDir(), "no/such/folder", filepath.Join(t.TempDir(), strings.Repeat("a long name ", 10))} {
		if _, err := hello(t, dir, "Anna"); !errors.Is(err, errNoDaemon) {
			t.Errorf("in %s: %v", dir, err)
		}
	}
}

func socketFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	daemon, stopped := context.WithCancel(t.Context())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /count", tellCommand(daemon, func(ctx context.Context, fails bool, tell func(int)) error {
		tell(1)
		if fails {
			return errors.New("the disk\nis gone")
		}
		stopped()
		<-ctx.Done()
		return ctx.Err()
	}))
	defer serveSocket(t, dir, mux)()
	for _, fails := range []bool{true, false} {
		want := "idlepush was stopped before its answer was complete: try again"
		if fails {
			want = "the disk is gone"
		}
		var heard []int
		err := hearDaemon(t.Context(), dir, "/count", fails, func(n int) { heard = append(heard, n) })
		if err == nil || err.Error() != want || len(heard) != 1 {
			t.Errorf("%v and %v, want the error %q", heard, err, want)
		}
	}
}

func socketSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		tell := func(pause time.Duration) error {
			return unlessSilent(t.Context(), answerWait, func(ctx context.Context, heard func()) error {
				for range 10 {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(pause):
						heard()
					}
				}
				return nil
			})
		}
		if err := tell(answerWait - time.Second); err != nil || time.Since(began) < 4*time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := tell(answerWait + time.Second); err == nil || !strings.Contains(err.Error(), "sent nothing for 30s") {
			t.Errorf("the error of a silent daemon is %v", err)
		}
	})
}
