//go:build !linux

package message

import (
	"time"
)

var began = time.Now()

// cpu returns the time that has passed, in place of how long this thread has computed.
func cpu() time.Duration { return time.Since(began) }
