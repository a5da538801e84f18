package main

import (
	"net"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

func TestPulse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pool, dispatcher func()
		p := newPulse(&pool, &dispatcher)
		time.Sleep(time.Minute)
		pool()
		time.Sleep(time.Minute)
		if got := p.age(); got != 2*time.Minute {
			t.Errorf("one loop has not gone round for 2 min, and the age is %v", got)
		}
		dispatcher()
		if got := p.age(); got != time.Minute {
			t.Errorf("both loops have gone round, one a minute ago, and the age is %v", got)
		}
	})
}

// TestSystemd checks what the program tells systemd: that it is ready once it serves, that it
// works, and that it stops.
func TestSystemd(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		testenv.Missing(t, "there are no sockets like those of systemd: "+err.Error())
	}
	defer conn.Close()
	s := systemtest.New(t, itself(t))
	s.More = []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=300000"}
	s.Start(t)
	end, _ := testenv.Context(t).Deadline()
	systemtest.Must(t, conn.SetReadDeadline(end))
	var told []string
	// hear waits until all of these have been told.
	hear := func(want ...string) {
		t.Helper()
		text := make([]byte, 1000)
		for slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(told, w) }) {
			n, err := conn.Read(text)
			if err != nil {
				t.Fatalf("it told %q, want %q: %v", slices.Compact(told), want, err)
			}
			told = append(told, string(text[:n]))
		}
	}
	hear("READY=1", "WATCHDOG=1")
	if slices.Contains(told, "STOPPING=1") {
		t.Error("it told that it stops before it did")
	}
	s.Stop(t)
	hear("STOPPING=1")
}
