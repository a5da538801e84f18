package registry

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"idlepush/registry/migrate"
	v1 "idlepush/registry/migrate/v1"
	"idlepush/registry/table"
	"idlepush/registry/testenv"
)

func TestUpgrade(t *testing.T) {
	t.Run("an upgraded store has the same rows and is upgraded once", upgradeOnce)
	t.Run("a new store needs no upgrade", upgradeNew)
	t.Run("an upgrade that fails leaves the files untouched", upgradeFails)
	t.Run("an upgrade needs the right key", upgradeKey)
	t.Run("of two who start at once one upgrades", upgradeAtOnce)
	t.Run("whatever a killed upgrade leaves, the next start has the store", upgradeLeftovers)
	t.Run("a kill at any moment of an upgrade loses nothing", upgradeKilled)
	t.Run("an upgrade on a full disk leaves the store as it was", upgradeOnFullDisk)
}

// withSteps makes the next versions the newest for as long as the test runs, which must not be
// parallel.
func withSteps(t *testing.T, more ...migrate.Step) {
	t.Helper()
	released := migrations
	migrations = slices.Concat(released, more)
	t.Cleanup(func() { migrations = released })
}

// linkUp leads to the made-up next version, in which every account has a link. Today's rows can
// hold that, so Open can read what the step has made. It takes a transaction for each account and
// calls each after it.
func linkUp(each func() error) migrate.Step {
	return func(db *table.DB) error {
		for more, last := true, v1.ID(""); more; {
			more = false
			err := db.Update(func(tx *table.Tx) error {
				rows, err := v1.Accounts.First(tx, table.Range{}.Past(last), 1)
				for _, row := range rows {
					more, last, row.Value.Link = true, row.Key, madeUp
					err = errors.Join(err, v1.Accounts.Put(tx, row.Key, row.Value))
				}
				return err
			})
			if err := errors.Join(err, each()); err != nil {
				return err
			}
		}
		return nil
	}
}

// quietly is for a step that nobody follows.
func quietly() error { return nil }

const madeUp = "https://mail.example.org/"

// oldStore makes a store with some accounts, which the next upgrade is for.
func oldStore(t testing.TB) (dir string, holds map[string]string) {
	t.Helper()
	dir = closedStore(t)
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	ben := someone(t, s, "ben")
	for i := range 4 {
		mailbox(t, s, ben, fmt.Sprint(i, "@example.org"))
	}
	holds = content(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, holds
}

// holds is what a store holds that must open.
func holds(t testing.TB, dir string) map[string]string {
	t.Helper()
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	checkRows(t, s)
	held := content(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return held
}

// upgraded is what a store holds after linkUp that held this before it.
func upgraded(before map[string]string, number int) map[string]string {
	after := maps.Clone(before)
	for name, row := range after {
		switch {
		case strings.HasPrefix(name, "account "):
			after[name] = strings.Replace(row, `"Enabled"`, `"Link":"`+madeUp+`","Enabled"`, 1)
		case name == "meta format":
			after[name] = strings.Replace(row, fmt.Sprint(number), fmt.Sprint(number+1), 1)
		}
	}
	return after
}

// useBefore works with the program as it was before a test added steps.
func useBefore(fn func()) {
	newer := migrations
	migrations = migrations[:len(migrations)-1]
	fn()
	migrations = newer
}

func upgradeOnce(t *testing.T) {
	released := newestVersion()
	ran := 0
	dir, before := oldStore(t)
	path := filepath.Join(dir, storeFile)
	withSteps(t, func(db *table.DB) error { ran++; return linkUp(quietly)(db) })
	for range 3 {
		differ(t, "upgraded", holds(t, dir), upgraded(before, released))
		if ran != 1 {
			t.Errorf("the step ran %d times", ran)
		}
	}
	var names []string
	for name := range files(t, dir) {
		names = append(names, name)
	}
	kept := migrate.Kept(storeFile, released)
	if slices.Sort(names); !slices.Equal(names, []string{storeFile, storeFile + ".closed", kept, keyFile}) {
		t.Errorf("there are %q", names)
	}
	useBefore(func() {
		refused(t, dir, nil, "newer idlepush", "backup", kept)
		if err := os.Rename(filepath.Join(dir, kept), path); err != nil {
			t.Fatal(err)
		}
		differ(t, "the copy, with the program before", holds(t, dir), before)
	})
	differ(t, "the copy, upgraded", holds(t, dir), upgraded(before, released))
}

func upgradeNew(t *testing.T) {
	withSteps(t, func(*table.DB) error {
		t.Error("the step ran")
		return nil
	})
	dir := t.TempDir()
	for range 2 {
		if n := len(holds(t, dir)); n == 0 {
			t.Error("it holds nothing")
		}
	}
}

func upgradeFails(t *testing.T) {
	dir, before := oldStore(t)
	refusal := errors.New("the row of a device is older than it can be")
	withSteps(t, func(db *table.DB) error { return errors.Join(linkUp(quietly)(db), refusal) })
	refused(t, dir, nil, "upgrade the store to version", refusal.Error())
	useBefore(func() { differ(t, "with the program before", holds(t, dir), before) })
}

func upgradeKey(t *testing.T) {
	dir, _ := oldStore(t)
	withSteps(t, func(*table.DB) error {
		t.Error("the step ran")
		return nil
	})
	refused(t, dir, newKey(), "the key does not fit")
}

func upgradeAtOnce(t *testing.T) {
	released := newestVersion()
	var ran atomic.Int32
	withSteps(t, func(db *table.DB) error { ran.Add(1); return linkUp(quietly)(db) })
	for range 10 {
		ran.Store(0)
		var dir string
		var before map[string]string
		useBefore(func() { dir, before = oldStore(t) })
		opened := atomic.Int32{}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				s, err := Open(dir, unsynced)
				switch {
				case err == nil:
					opened.Add(1)
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				case !strings.Contains(err.Error(), "in use by another process"):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if opened.Load() == 0 {
			t.Error("nobody opened it")
		}
		differ(t, "in the end", holds(t, dir), upgraded(before, released))
		if n := ran.Load(); n != 1 {
			t.Errorf("the step ran %d times", n)
		}
	}
}

// leftovers are states in which an upgrade leaves the folder of the store if the process is killed,
// from what there is before, in the middle and at the end of it; version is that before.
func leftovers(before, half, after map[string]string, version int) map[string]map[string]string {
	work := storeFile + ".upgrade"
	in := func(store, kept, copied string, replaced bool) map[string]string {
		state := map[string]string{storeFile: before[storeFile], keyFile: before[keyFile], work + "/store": store,
			work + "/kept": kept, migrate.Kept(storeFile, version): copied}
		if replaced {
			state[storeFile] = after[storeFile]
		}
		maps.DeleteFunc(state, func(_, data string) bool { return data == "" })
		return state
	}
	old, whole := before[storeFile], after[storeFile]
	return map[string]map[string]string{
		"an empty folder":     in("", "", "", false),
		"a part of the copy":  in(old[:len(old)/3], "", "", false),
		"the copy":            in(old, "", "", false),
		"half of the rows":    in(half[storeFile], "", "", false),
		"all of the rows":     in(whole, "", "", false),
		"a part of what kept": in(whole, old[:len(old)/3], "", false),
		"what is to be kept":  in(whole, old, "", false),
		"what is kept":        in(whole, "", old, false),
		"the new store":       in("", "", old, true),
	}
}

func upgradeLeftovers(t *testing.T) {
	released := newestVersion()
	dir, rows := oldStore(t)
	work := filepath.Join(dir, storeFile+".upgrade")
	before := files(t, dir)
	half := make(map[string]string)
	withSteps(t, linkUp(func() error {
		if len(half) > 0 {
			return nil
		}
		data, err := os.ReadFile(filepath.Join(work, "store"))
		half[storeFile] = string(data)
		return err
	}))
	want := upgraded(rows, released)
	differ(t, "upgraded", holds(t, dir), want)
	after := files(t, dir)
	if half[storeFile] == "" || half[storeFile] == before[storeFile] || half[storeFile] == after[storeFile] {
		t.Fatal("there was no half of it")
	}
	lay := func(t *testing.T, state map[string]string) (dir string) {
		dir = t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, storeFile+".upgrade"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, data := range state {
			putFile(t, filepath.Join(dir, name), []byte(data))
		}
		return dir
	}
	for name, state := range leftovers(before, half, after, released) {
		t.Run(name, func(t *testing.T) {
			dir := lay(t, state)
			differ(t, "upgraded", holds(t, dir), want)
			left := files(t, dir)
			if left[storeFile+".upgrade"] != "" {
				t.Error("the rest is still there")
			}
			if left[migrate.Kept(storeFile, released)] != before[storeFile] {
				t.Error("what is kept is not what was there")
			}
			useBefore(func() {
				dir := lay(t, state)
				if state[storeFile] != before[storeFile] {
					return // it went through
				}
				differ(t, "with the program before", holds(t, dir), rows)
				if files(t, dir)[storeFile+".upgrade"] != "" {
					t.Error("the rest is still there, with the program before")
				}
			})
		})
	}
}

// upgradeUntilKilled is the child: it upgrades the store, with a byte to stdout after each
// transaction.
func upgradeUntilKilled(dir string) error {
	migrations = append(migrations, linkUp(step))
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	return errors.Join(s.Close(), step())
}

func upgradeKilled(t *testing.T) {
	released := newestVersion()
	dir, rows := oldStore(t)
	made := files(t, dir)
	withSteps(t, linkUp(quietly))
	random := testenv.Rand(t)
	for kill := range testenv.Tenth(60) {
		dir := t.TempDir()
		for _, name := range []string{storeFile, keyFile} {
			putFile(t, filepath.Join(dir, name), []byte(made[name]))
		}
		cmd := child(t, "upgrade until killed", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// 5 accounts, that there are no more, and the end.
		_, _ = io.CopyN(io.Discard, out, int64(random.IntN(8)))
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it may have ended before
		differ(t, fmt.Sprint("after kill ", kill), holds(t, dir), upgraded(rows, released))
		if files(t, dir)[storeFile+".upgrade"] != "" {
			t.Error("the rest is still there")
		}
	}
}

// upgradeFullDisk is the child: it upgrades the store with ever more room on the disk until there
// is enough.
func upgradeFullDisk(dir string) error {
	migrations = append(migrations, linkUp(quietly))
	path := filepath.Join(dir, storeFile)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for size, refusals := info.Size()/4, 0; ; size += info.Size() / 4 {
		if err := spaceEnds(uint64(size)); err != nil {
			return err
		}
		s, err := Open(dir, Options{})
		if spaceErr := spaceEnds(0); spaceErr != nil {
			return spaceErr
		}
		if err == nil {
			if refusals == 0 {
				return errors.New("it was never full")
			}
			fmt.Println("done")
			return s.Close()
		}
		refusals++
		if !strings.Contains(err.Error(), syscall.EFBIG.Error()) || strings.Contains(err.Error(), "damaged") {
			return fmt.Errorf("with room for %d bytes: %w", size, err)
		}
		after, err := os.ReadFile(path)
		if err != nil || string(after) != string(before) {
			return fmt.Errorf("with room for %d bytes the store was changed, %w", size, err)
		}
		for _, left := range []string{path + ".upgrade", migrate.Kept(path, newestVersion()-1)} {
			if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%s takes room: %w", left, err)
			}
		}
	}
}

func upgradeOnFullDisk(t *testing.T) {
	released := newestVersion()
	dir, rows := oldStore(t)
	if out, err := child(t, "upgrade a full disk", dir).Output(); err != nil || string(out) != "done\n" {
		t.Fatalf("%v: %s", err, out)
	}
	withSteps(t, linkUp(quietly))
	differ(t, "in the end", holds(t, dir), upgraded(rows, released))
}
