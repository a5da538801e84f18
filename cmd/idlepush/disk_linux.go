package main

import "golang.org/x/sys/unix"

// diskRoom returns how many bytes may be written to the disk of a folder.
func diskRoom(dir string) (room uint64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
