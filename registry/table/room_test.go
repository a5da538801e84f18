//go:build unix

package table

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	o := Options{Key: make([]byte, KeySize)}
	db, err := Create(path, o)
	if err != nil {
		t.Fatal(err)
	}
	// sizes returns the size of the file, how much of it has blocks, and how much is in use.
	sizes := func() (size, blocks, used int64) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.View(func(tx *Tx) error { used = tx.engine.Size(); return nil }); err != nil {
			t.Fatal(err)
		}
		return info.Size(), info.Sys().(*syscall.Stat_t).Blocks * 512, used
	}
	grown := 0
	for i := range 300 {
		before, _, _ := sizes()
		update(t, db, func(tx *Tx) error { return words.Put(tx, Text(fmt.Sprint(i)), strings.Repeat("x", 40_000)) })
		size, blocks, used := sizes()
		if blocks < size {
			t.Fatalf("after %d commits, %d of %d bytes have no blocks", i+1, size-blocks, size)
		}
		if most := used + max(2*minGrowth, min(2*used, used+maxGrowth)); size > most {
			t.Fatalf("after %d commits, %d bytes are in use, and the file has %d", i+1, used, size)
		}
		if size != before {
			grown++
		}
		if i == 150 {
			closeDB(t, db)
			if db, err = Open(path, o); err != nil {
				t.Fatal(err)
			}
		}
	}
	if grown > 12 {
		t.Errorf("it grew %d times", grown)
	}
	closeDB(t, db)
}
