package wire

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"idlepush/watcher/imaptest"
)

var six, four = netip.MustParseAddr("2001:db8::6"), netip.MustParseAddr("192.0.2.4")

// resolveTo resolves every name to these addresses.
func resolveTo(addrs ...netip.Addr) func(context.Context, string) ([]netip.Addr, error) {
	return func(context.Context, string) ([]netip.Addr, error) { return addrs, nil }
}

// host takes or refuses connections to an address.
type host func(context.Context) (net.Conn, error)

// testNet is a network in memory, for bubbles: hosts by their address.
type testNet struct {
	hosts map[netip.Addr]host
	open  atomic.Int32 // connections on this side

	mu     sync.Mutex
	dialed []netip.Addr
}

func (tn *testNet) dial(ctx context.Context, address string) (net.Conn, error) {
	at := netip.MustParseAddrPort(address).Addr()
	tn.mu.Lock()
	tn.dialed = append(tn.dialed, at)
	tn.mu.Unlock()
	conn, err := tn.hosts[at](ctx)
	if err != nil {
		return nil, err
	}
	tn.open.Add(1)
	return &counted{conn, sync.OnceFunc(func() { tn.open.Add(-1) })}, nil
}

// forget returns which addresses were dialed since it was last called, in their order.
func (tn *testNet) forget() []netip.Addr {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	dialed := tn.dialed
	tn.dialed = nil
	return dialed
}

type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

func blackHole(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func refuse(context.Context) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

func noRoute(context.Context) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
}

// takes is a host that serves each connection.
func takes(serve func(net.Conn)) host {
	return func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go serve(newBufferedWriter(server))
		return client, nil
	}
}

// bufferedWriter is a pipe's end that, like the kernel, takes data before the other side reads it.
// On a bare pipe the two sides of a handshake that fails wait for each other.
type bufferedWriter struct {
	net.Conn
	out chan []byte
	end func()
}

func newBufferedWriter(conn net.Conn) *bufferedWriter {
	w := &bufferedWriter{Conn: conn, out: make(chan []byte, 64)}
	w.end = sync.OnceFunc(func() { close(w.out) })
	go func() {
		for b := range w.out {
			conn.Write(b)
		}
		conn.Close()
	}()
	return w
}

func (w *bufferedWriter) Write(b []byte) (int, error) {
	w.out <- slices.Clone(b)
	return len(b), nil
}

// SetWriteDeadline does nothing: a tls.Conn that closes sets one, and the data is on its way.
func (w *bufferedWriter) SetWriteDeadline(time.Time) error { return nil }

func (w *bufferedWriter) Close() error {
	w.end()
	return nil
}

// says is a host that sends a text and nothing else.
func says(text string) host {
	return takes(func(conn net.Conn) {
		io.WriteString(conn, text)
		io.Copy(io.Discard, conn)
		conn.Close()
	})
}

// secured is a host that speaks TLS before it does what the other does.
func secured(config *tls.Config, serve func(net.Conn)) host {
	return takes(func(conn net.Conn) {
		secure := tls.Server(conn, config)
		if secure.Handshake() != nil {
			conn.Close()
			return
		}
		serve(secure)
	})
}

func hangUp(conn net.Conn) { conn.Close() }

// mailServer is a host with a mail server for this kind of connection.
func mailServer(security Security, certificate tls.Certificate) host {
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	switch security {
	case TLS:
		return secured(config, new(imaptest.Script).Serve)
	case StartTLS:
		return takes((&imaptest.Script{TLS: config}).Serve)
	}
	return takes(new(imaptest.Script).Serve)
}

// reached dials and returns at which of the addresses there is a mail server, and what it took.
func reached(t *testing.T, tn *testNet, e Endpoint) (at netip.Addr, took time.Duration, err error) {
	t.Helper()
	began := time.Now()
	e.Dial = tn.dial
	c, err := Dial(t.Context(), e, DefaultLimits, testTimeout)
	took = time.Since(began)
	want := int32(0)
	if err == nil {
		want = 1
	}
	if open := tn.open.Load(); open != want {
		t.Errorf("%d connections are open, want %d", open, want)
	}
	if err != nil {
		return at, took, err
	}
	c.Close()
	dialed := tn.forget()
	return dialed[len(dialed)-1], took, nil
}
