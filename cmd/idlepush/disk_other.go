//go:build !linux

package main

// diskRoom returns how many bytes may be written to the disk of a folder.
func diskRoom(string) (room uint64, known bool) { return 0, false }
