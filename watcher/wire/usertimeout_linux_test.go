package wire

import (
	"maps"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"idlepush/watcher/imaptest"
)

// A dead connection is noticed within 80 s, and within 60 s if data waits.
func TestUserTimeout(t *testing.T) {
	t.Parallel()
	port := listening(t, &imaptest.Script{}, nil)
	c, err := Dial(t.Context(), Endpoint{Host: "127.0.0.1", Port: port, Security: None}, DefaultLimits, realTimeout(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"on": 1, "idle s": 60, "interval s": 20, "count": 3, "user timeout ms": 60000}
	got := make(map[string]int)
	err = raw.Control(func(fd uintptr) {
		for name, option := range map[string][2]int{
			"on":              {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
			"idle s":          {syscall.IPPROTO_TCP, unix.TCP_KEEPIDLE},
			"interval s":      {syscall.IPPROTO_TCP, unix.TCP_KEEPINTVL},
			"count":           {syscall.IPPROTO_TCP, unix.TCP_KEEPCNT},
			"user timeout ms": {syscall.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
		} {
			if got[name], err = unix.GetsockoptInt(int(fd), option[0], option[1]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("the options are %v, %v; want %v", got, err, want)
	}
}
