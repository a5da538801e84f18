package main

// Room on the disk of the data folder, in bytes.
const (
	scarceRoom  = 500 << 20 // doctor warns below it
	lowRoom     = 50 << 20  // the disk is nearly full below it, and the store can still write
	lowRoomEnds = 100 << 20 // it stays nearly full below that
)

// isLow reports whether a disk with that room is nearly full. was is whether it was when last
// looked at, or may have been.
func isLow(room uint64, was bool) bool { return room < lowRoom || was && room < lowRoomEnds }
