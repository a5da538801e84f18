//go:build !linux

package wire

import (
	"syscall"
	"time"
)

// setUserTimeout does nothing: the system has no such option. The timeout of each step bounds the
// wait.
func setUserTimeout(syscall.RawConn, time.Duration) error { return nil }
