package webpush_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// zone has the addresses of the names in these tests. No other name exists.
var zone = map[string][][4]byte{
	"inside.example.org": {{127, 0, 0, 1}},
	"both.example.org":   {{127, 0, 0, 1}, {127, 0, 0, 2}},
}

// TestMain resolves every name from zone, so that the tests use no resolver of the machine. It also
// sets a proxy in the environment where nothing listens, because net/http reads it only once, at
// the first request.
func TestMain(m *testing.M) {
	os.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	os.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	wg.Go(func() { serveDNS(conn) })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		conn.Close()
		wg.Wait()
		os.Exit(code)
	}))
}

// serveDNS answers A questions until conn is closed: RFC 1035 section 4.
func serveDNS(conn net.PacketConn) {
	packet := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		name, end := question(packet[:n])
		if end+4 > n {
			continue
		}
		addresses, known := zone[name]
		if binary.BigEndian.Uint16(packet[end:]) != 1 { // not A
			addresses = nil
		}
		answer := slices.Concat(packet[:2], []byte{0x81, 0x80, 0, 1, 0, byte(len(addresses)), 0, 0, 0, 0}, packet[12:end+4])
		if !known {
			answer[3] |= 3 // no such name
		}
		for _, a := range addresses {
			answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			answer = append(answer, a[:]...)
		}
		conn.WriteTo(answer, from)
	}
}

// question returns the name in the question and the offset of its type.
func question(packet []byte) (string, int) {
	var labels []string
	i := 12
	for i < len(packet) && packet[i] != 0 && i+1+int(packet[i]) < len(packet) {
		labels = append(labels, string(packet[i+1:i+1+int(packet[i])]))
		i += 1 + int(packet[i])
	}
	return strings.ToLower(strings.Join(labels, ".")), i + 1
}
