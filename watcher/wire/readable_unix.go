//go:build unix

package wire

import "syscall"

// readable reports whether a read of a socket would not wait: there is something, or it has ended.
func readable(socket uintptr) bool {
	var first [1]byte
	_, _, err := syscall.Recvfrom(int(socket), first[:], syscall.MSG_PEEK)
	return err != syscall.EAGAIN
}
