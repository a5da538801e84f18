package main

import (
	"errors"
	"net"
	"path/filepath"
	"sync"
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
	var told sync.Map // what was told, at least once
	var reading sync.WaitGroup
	defer reading.Wait()
	defer conn.Close()
	reading.Go(func() { // all the time, as systemd does
		text := make([]byte, 1000)
		for {
			n, err := conn.Read(text)
			if err != nil {
				return
			}
			told.Store(string(text[:n]), true)
		}
	})
	hear := func(state string) {
		t.Helper()
		testenv.Await(t, "it tells "+state, func() error {
			if _, found := told.Load(state); !found {
				return errors.New("it does not")
			}
			return nil
		})
	}
	s := systemtest.New(t, itself(t))
	s.More = []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=300000"}
	s.Start(t)
	hear("READY=1")
	hear("WATCHDOG=1")
	if _, found := told.Load("STOPPING=1"); found {
		t.Error("it told that it stops before it did")
	}
	s.Stop(t)
	hear("STOPPING=1")
}
