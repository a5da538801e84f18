package wire

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

// The same over the kernel's own ::1 and 127.0.0.1.
func TestLoopbackFamilies(t *testing.T) {
	t.Parallel()
	certificate, unknown := testCertificate(t), testCertificate(t)
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}}
	handshake := func(serve func(net.Conn)) func(net.Conn) {
		return func(conn net.Conn) { serve(tls.Server(conn, secure)) }
	}
	say := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			io.WriteString(conn, text)
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}
	reset := func(conn net.Conn) {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	stranger := func(conn net.Conn) {
		new(imaptest.Script).Serve(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{unknown}}))
	}
	for name, c := range map[string]struct {
		security Security
		serve    func(net.Conn) // nil: nobody listens
	}{
		"refused":                       {TLS, nil},
		"reset":                         {TLS, reset},
		"closed":                        {TLS, hangUp},
		"no TLS":                        {TLS, say("* OK not encrypted\r\n")},
		"another certificate":           {TLS, stranger},
		"garbage within TLS":            {TLS, handshake(say("220 smtp\r\n"))},
		"closed within TLS":             {TLS, handshake(hangUp)},
		"refused, STARTTLS":             {StartTLS, nil},
		"reset, STARTTLS":               {StartTLS, reset},
		"garbage, STARTTLS":             {StartTLS, say("220 smtp\r\n")},
		"closed at STARTTLS":            {StartTLS, (&imaptest.Script{TLS: secure, On: map[string]func(*imaptest.Talk, string){"STARTTLS": func(talk *imaptest.Talk, _ string) { talk.Close() }}}).Serve},
		"another certificate, STARTTLS": {StartTLS, (&imaptest.Script{TLS: &tls.Config{Certificates: []tls.Certificate{unknown}}}).Serve},
		"garbage, not encrypted":        {None, say("220 smtp\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			good := &imaptest.Script{}
			serve := good.Serve
			switch c.security {
			case TLS:
				serve = handshake(good.Serve)
			case StartTLS:
				good.TLS = secure
			}
			port := bothLoopbacks(t, c.serve, serve)
			e := Endpoint{Host: "mail.test", Port: port, Security: c.security, TLS: trusted(certificate),
				Resolve: resolveTo(netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1"))}
			conn, err := Dial(t.Context(), e, DefaultLimits, realTimeout(t))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if at := conn.raw.RemoteAddr().(*net.TCPAddr); at.IP.To4() == nil {
				t.Errorf("reached %v", at)
			}
		})
	}
}

// bothLoopbacks serves on the same port of ::1 and 127.0.0.1, or with nil leaves it alone.
func bothLoopbacks(t *testing.T, six, four func(net.Conn)) (port int) {
	t.Helper()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		testenv.Missing(t, "this machine has no ::1: "+err.Error())
	} else {
		l.Close()
	}
	testenv.Await(t, "a port is free in both families", func() error {
		l4, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		port = l4.Addr().(*net.TCPAddr).Port
		l6, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", port))
		if err != nil {
			l4.Close()
			return err
		}
		if six == nil {
			l6.Close()
		} else {
			serveEach(t, l6, six)
		}
		serveEach(t, l4, four)
		return nil
	})
	return port
}

// serveEach serves each connection until the test ends, when the clients have closed theirs.
func serveEach(t *testing.T, l net.Listener, serve func(net.Conn)) {
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
}
