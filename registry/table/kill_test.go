package table

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"idlepush/registry/testenv"
)

// The child compacts the file as it opens it, and is killed once the new file has some size.
func TestKillWhileCompacting(t *testing.T) {
	t.Parallel()
	var list []string
	for i := range 60 {
		list = append(list, fmt.Sprint(i, strings.Repeat("x", 20_000)))
	}
	slices.Sort(list)
	path := closedDB(t, list...)
	waste(t, path, 2000)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := testenv.Rand(t)
	for middles := 0; middles < 5; {
		if err := errors.Join(os.WriteFile(path, whole, 0o600), removeIfThere(closedFile(path)), removeIfThere(compactFile(path))); err != nil {
			t.Fatal(err)
		}
		killAt(t, child(t, "open and close", path), compactFile(path), random.Int64N(3<<20))
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(compactFile(path)); err == nil && info.Size() == int64(len(whole)) {
			middles++
		}
		db := openDB(t, path)
		if got := all(t, db); !slices.Equal(got, list) {
			t.Errorf("%d of %d rows are there", len(got), len(list))
		}
		closeDB(t, db)
		if _, err := os.Stat(compactFile(path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the half of a file is still there: %v", err)
		}
		if t.Failed() {
			return
		}
	}
}

// killAt kills the command once the file has so many bytes, or when the command has ended.
func killAt(t *testing.T, cmd *exec.Cmd, path string, size int64) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	for {
		if info, err := os.Stat(path); err == nil && info.Size() >= size {
			break
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
	_ = cmd.Process.Kill() // it may have ended
	<-ended
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
