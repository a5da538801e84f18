//go:build !unix

package wire

// readable cannot tell on this system: a read returns at once if bytes are there.
func readable(uintptr) bool { return false }
