package table

import "os"

const (
	// leastRoom is how much room for new pages a commit finds in the file, in bytes. One that needs
	// more makes its own.
	leastRoom = 256 << 10

	// The file grows by as much as is in use, but at least and at most by these.
	minGrowth = 512 << 10
	maxGrowth = 4 << 20
)

// room lets the file grow by blocks that the disk has allocated: it writes zeros behind the pages
// in use. bbolt only sets the size of the file. Then the file system allocates blocks as pages are
// written, and writes its journal with each commit that does so.
type room struct {
	end int64 // of the blocks that are known to be allocated
}

var zeros [64 << 10]byte

// extend lets the file grow if little room is left behind the pages in use, which end at used. If
// that fails, as on a full disk, the commit shows whether it needs the room.
func (r *room) extend(file *os.File, used int64) {
	from := max(r.end, used)
	if from-used >= leastRoom {
		return
	}
	r.end = from
	for to := from + min(max(used, minGrowth), maxGrowth); r.end < to; {
		n, err := file.WriteAt(zeros[:min(int64(len(zeros)), to-r.end)], r.end)
		r.end += int64(n)
		if err != nil {
			break
		}
	}
	if r.end > from {
		_ = file.Sync()
	}
}
