package watcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idlepush"
	"idlepush/registry/testenv"
	"idlepush/watcher/imapmem"
)

// inNetwork is set if the test binary runs in a network of its own.
const inNetwork = "TEST_IN_NETWORK"

// TestBlackHoledConnection has three machines in namespaces: this one, a router, and the mail
// server behind it. When the router stops forwarding, packets vanish without a reset, as behind a
// NAT that has forgotten the connection. By default the kernel's timers run ten times as fast as
// the package wire sets them.
func TestBlackHoledConnection(t *testing.T) {
	if os.Getenv(inNetwork) == "" {
		t.Parallel()
		left := time.Duration(0) // as much as this process has; by default as much as it likes
		if end, ok := t.Deadline(); ok {
			left = time.Until(end)
		}
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", left.String())
		again.Env = append(os.Environ(), inNetwork+"=1")
		again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := again.CombinedOutput()
		t.Logf("%s", out)
		switch {
		case errors.Is(err, os.ErrPermission):
			testenv.Missing(t, "only root may make network namespaces")
		case err != nil:
			t.Error(err)
		case strings.Contains(string(out), "--- SKIP"):
			t.Skip("it was skipped there")
		}
		return
	}
	forwarding, listener := threeMachines(t)
	mailbox, err := imapmem.New("anna", "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { mailbox.Serve(ctx, listener) })
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	at := netip.MustParseAddrPort(listener.Addr().String())
	h := newHarness(t, idlepush.Account{Host: at.Addr().String(), Port: int(at.Port()), Security: idlepush.SecurityPlain, Username: "anna", Password: "secret"})
	d := Dialer{Permit: permitAll}
	if !testenv.Soak {
		d.Dial = dialHasty
	}
	h.watch(t, d)
	h.waitState(t, idlepush.StateWatching)

	forwarding(false)
	began := time.Now()
	if _, err := mailbox.Append("INBOX", mail("a@example.org", "into the hole", "")); err != nil {
		t.Fatal(err)
	}
	h.waitState(t, idlepush.StateRetrying)
	t.Logf("noticed after %v", time.Since(began).Round(time.Second))
	forwarding(true)
	h.waitMails(t, 1)
	if got := subjects(h.mails(t)); !slices.Equal(got, []string{"into the hole"}) {
		t.Errorf("notified %q", got)
	}
	h.waitState(t, idlepush.StateWatching)
}

// dialHasty connects as the package wire does, with a tenth of its timers.
func dialHasty(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 6 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control: func(_, _ string, raw syscall.RawConn) error {
			var set error
			err := raw.Control(func(fd uintptr) {
				set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 6000)
			})
			return errors.Join(err, set)
		},
	}
	return d.DialContext(ctx, "tcp", address)
}

// threeMachines connects this network, over a router, to that of a mail server. It returns a switch
// for the router's forwarding, and a listener in the mail server's network. All of it ends with
// this process.
func threeMachines(t *testing.T) (forwarding func(on bool), listener net.Listener) {
	t.Helper()
	router, server := newNetwork(t), newNetwork(t)
	sh(t, 0, fmt.Sprintf("ip link set lo up && ip link add here type veth peer name near netns %d", router))
	sh(t, router, fmt.Sprintf("ip link add far type veth peer name there netns %d", server))
	sh(t, 0, "ip addr add 10.1.0.1/24 dev here && ip link set here up && ip route add 10.2.0.0/24 via 10.1.0.2")
	sh(t, router, "ip addr add 10.1.0.2/24 dev near && ip addr add 10.2.0.2/24 dev far && ip link set near up && ip link set far up")
	sh(t, server, "ip addr add 10.2.0.1/24 dev there && ip link set there up && ip route add 10.1.0.0/24 via 10.2.0.2")
	forwarding = func(on bool) {
		digit := map[bool]string{false: "0", true: "1"}[on]
		sh(t, router, "echo "+digit+" > /proc/sys/net/ipv4/ip_forward")
	}
	forwarding(true)
	return forwarding, listenIn(t, server, "10.2.0.1:143")
}

// newNetwork makes a network namespace and returns the process that holds it.
func newNetwork(t *testing.T) (pid int) {
	t.Helper()
	holder := exec.Command("/bin/cat") // until its input ends
	input, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		holder.Wait()
	})
	return holder.Process.Pid
}

// sh runs a command in the network of the process; 0: in this one.
func sh(t *testing.T, network int, command string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", command)
	if network > 0 {
		cmd = exec.Command("nsenter", "-t", strconv.Itoa(network), "-n", "/bin/sh", "-c", command)
	}
	if out, err := cmd.CombinedOutput(); errors.Is(err, exec.ErrNotFound) || strings.Contains(string(out), "ip: not found") {
		testenv.Missing(t, "iproute2 and nsenter are needed: "+err.Error())
	} else if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// listenIn listens in the network of the process: a socket belongs to the network in which it was
// made.
func listenIn(t *testing.T, network int, address string) (listener net.Listener) {
	t.Helper()
	var err error
	var making sync.WaitGroup
	making.Go(func() {
		// The thread is not unlocked, so it ends with this goroutine.
		runtime.LockOSThread()
		var f *os.File
		if f, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", network)); err != nil {
			return
		}
		defer f.Close()
		if err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err == nil {
			listener, err = net.Listen("tcp", address)
		}
	})
	making.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
