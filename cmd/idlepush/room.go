package main

// Room on the disk of the data folder, in bytes.
const (
	littleRoom = 500 << 20 // less is pointed out
	noRoom     = 50 << 20  // less is nearly full, though the store can still write that it is
	roomAgain  = 100 << 20 // less stays nearly full: a file that comes and goes does not end it
)

// isLow reports whether a disk with that room is nearly full. was is whether it was when last
// looked at, or may have been.
func isLow(room uint64, was bool) bool { return room < noRoom || was && room < roomAgain }
