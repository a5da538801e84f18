package wire

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout bounds how long sent data may stay unacknowledged, by default 15 minutes:
// keepalive does not help while data waits.
func setUserTimeout(raw syscall.RawConn, d time.Duration) error {
	var err error
	if controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	}); controlErr != nil {
		return controlErr
	}
	return err
}
