package netguard_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"idlepush/netguard"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	t.Run("only permitted addresses are dialed", dialOnlyPermitted)
	t.Run("a network without addresses is refused", refuseWithoutAddress)
}

var errHere = errors.New("not here")

// zone is what the names of these tests resolve to.
var zone = map[string][]netip.Addr{
	"one.test.":   {netip.MustParseAddr("127.0.0.1")},
	"two.test.":   {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")},
	"three.test.": {netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("127.0.0.1")},
}

func dialOnlyPermitted(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // nobody listens at 127.0.0.2 and 127.0.0.3
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for name, c := range map[string]struct {
		host      string
		permitted []string
		asked     []string
		connected bool
		err       string // of the error chain: "forbidden", "unanswered" or "refused"
	}{
		"an address":                     {"127.0.0.1", []string{"127.0.0.1"}, []string{"127.0.0.1"}, true, ""},
		"a forbidden address":            {"127.0.0.1", nil, []string{"127.0.0.1"}, false, "forbidden"},
		"mapped notation":                {"::ffff:127.0.0.1", nil, []string{"127.0.0.1"}, false, "forbidden"},
		"mapped notation, hexadecimal":   {"::ffff:7f00:1", nil, []string{"127.0.0.1"}, false, "forbidden"},
		"a zone":                         {"fe80::1%lo", nil, []string{"fe80::1"}, false, "forbidden"},
		"the unspecified address":        {"0.0.0.0", nil, []string{"0.0.0.0"}, false, "forbidden"},
		"a name":                         {"one.test", []string{"127.0.0.1"}, []string{"127.0.0.1"}, true, ""},
		"a forbidden name":               {"one.test", nil, []string{"127.0.0.1"}, false, "forbidden"},
		"a name in capitals":             {"ONE.TEST", nil, []string{"127.0.0.1"}, false, "forbidden"},
		"the first of two":               {"two.test", []string{"127.0.0.1"}, []string{"127.0.0.1"}, true, ""},
		"the second of two, which fails": {"two.test", []string{"127.0.0.2"}, []string{"127.0.0.1", "127.0.0.2"}, false, "unanswered"},
		"none of two":                    {"two.test", nil, []string{"127.0.0.1", "127.0.0.2"}, false, "forbidden"},
		"the last of three":              {"three.test", []string{"127.0.0.1"}, []string{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, true, ""},
		"the first, which fails":         {"three.test", []string{"127.0.0.2"}, []string{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, false, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			permit := func(at netguard.Target) error {
				addr := at.Addr.Addr().String()
				asked = append(asked, addr)
				if !at.Plain || at.Host != c.host || strconv.Itoa(int(at.Addr.Port())) != port {
					t.Errorf("asked about %+v", at)
				}
				if !slices.Contains(c.permitted, addr) {
					return errHere
				}
				return nil
			}
			controlled := 0
			d := net.Dialer{Resolver: resolver(t), Control: func(_, _ string, _ syscall.RawConn) error { controlled++; return nil }}
			conn, err := netguard.Guard(d, permit, true)(t.Context(), "tcp", net.JoinHostPort(c.host, port))
			if conn != nil {
				conn.Close()
			}
			if (conn != nil) != c.connected || (err == nil) != (c.err == "") {
				t.Errorf("connected %v: %v", conn != nil, err)
			}
			if _, forbidden := errors.AsType[*netguard.ForbiddenError](err); forbidden != (c.err == "forbidden") || forbidden != errors.Is(err, errHere) {
				t.Errorf("error %v, want %s", err, c.err)
			}
			if errors.Is(err, syscall.ECONNREFUSED) != (c.err == "refused") {
				t.Errorf("error %v, want %s", err, c.err)
			}
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked about %v, want %v", asked, c.asked)
			}
			if controlled != len(c.permitted) {
				t.Errorf("Control was called %d times", controlled)
			}
		})
	}
	if touched(t, listener) != 5 { // four permitted dials above, and the one that touched makes
		t.Error("a forbidden dial reached the listener")
	}
}

// touched returns how many connections the listener has had, with one of its own.
func touched(t *testing.T, listener net.Listener) (n int) {
	t.Helper()
	own, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for {
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		n++
		conn.Close()
		if conn.RemoteAddr().String() == own.LocalAddr().String() {
			return n
		}
	}
}

func refuseWithoutAddress(t *testing.T) {
	t.Parallel()
	permit := func(netguard.Target) error { return nil }
	conn, err := netguard.Guard(net.Dialer{}, permit, false)(t.Context(), "unix", "/nowhere.sock")
	if _, forbidden := errors.AsType[*netguard.ForbiddenError](err); !forbidden {
		t.Errorf("connected %v: %v", conn != nil, err)
	}
}

// resolver answers from zone, without a network.
func resolver(t *testing.T) *net.Resolver {
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		// No PacketConn, so messages have their length before them (RFC 1035 section 4.2.2).
		client, server := net.Pipe()
		serving.Go(func() {
			defer server.Close()
			for {
				var length [2]byte
				if _, err := io.ReadFull(server, length[:]); err != nil {
					return
				}
				question := make([]byte, binary.BigEndian.Uint16(length[:]))
				if _, err := io.ReadFull(server, question); err != nil {
					return
				}
				answer := resolve(t, question)
				if _, err := server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
					return
				}
			}
		})
		return client, nil
	}}
}

func resolve(t *testing.T, question []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		t.Error(err)
		return nil
	}
	m.Response, m.Additionals = true, nil
	q := m.Questions[0]
	name := strings.ToLower(q.Name.String())
	for _, addr := range zone[name] {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class},
				Body: &dnsmessage.AResource{A: addr.As4()}})
		}
	}
	answer, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return answer
}
