//go:build !linux

package wire

import (
	"syscall"
	"time"
)

// setUserTimeout does nothing where the kernel has no such option; the patience of each step bounds the wait there.
func setUserTimeout(syscall.RawConn, time.Duration) error { return nil }
