package registry

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry/migrate"
	"idlepush/registry/table"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	t.Run("a second process learns within two seconds that the store is in use", openInUse)
	t.Run("a second open in the same process learns the same", openTwice)
	t.Run("a store that is being created is in use", openWhileCreated)
	t.Run("the files are for their owner alone", ownerOnly)
	t.Run("a lost store is not replaced while its key is there", missingStore)
	t.Run("a first start that was cut short is begun again", firstStartCutShort)
	t.Run("a store with an unknown format is refused and not changed", unknownFormat)
	t.Run("a store from before the first release is refused and not changed", earlyStore)
	t.Run("a file of another program is refused and not changed", foreignFile)
	t.Run("a store that lacks a table is refused and not changed", missingTable)
	t.Run("two first starts at once create one store with its key", twoFirstStarts)
}

// holdTheStore is the child: it opens the store, says so and holds it until its input ends.
func holdTheStore(dir string) error {
	s, err := Open(dir, unsynced)
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Close())
}

// checkInUse opens the store in dir, which is in use: within two seconds there is an error that
// names the path. The seconds are a synctest bubble's, so it does not matter how slow the machine
// is.
func checkInUse(t *testing.T, dir, path string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := Open(dir, unsynced)
		if took := time.Since(began); took < time.Second || took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("who comes second is told: %v", err)
		}
	})
}

func openInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := child(t, "hold the store", dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the first process says %q, %v", line, err)
	}
	checkInUse(t, dir, filepath.Join(dir, storeFile))
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the first process: %v", err)
	}
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatalf("once the first has ended: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func openTwice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	checkInUse(t, s.dir, filepath.Join(s.dir, storeFile))
}

// openWhileCreated while another makes the store.
func openWhileCreated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkInUse(t, dir, dir)
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

func ownerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Users.SetupToken(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{".": fs.ModeDir | 0o700, "idlepush.db": 0o600, "idlepush.db.closed": 0o600, "key": 0o600, "setup-token": 0o600}
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Mode() != want[name] {
			t.Errorf("%s has mode %v, %v; want %v", name, info.Mode(), err, want[name])
		}
		delete(want, name)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("missing: %v, %v", want, err)
	}
}

// refused opens a store that must not open: the error says all of these, and no file has changed.
func refused(t testing.TB, dir string, key []byte, says ...string) {
	t.Helper()
	before := files(t, dir)
	s, err := Open(dir, Options{Key: key, NoSync: true})
	if err == nil {
		t.Error("it opened")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	helps(t, err, append(says, filepath.Join(dir, storeFile))...)
	unchanged(t, dir, before)
}

// helps holds an error to what it must say.
func helps(t testing.TB, err error, says ...string) {
	t.Helper()
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func unchanged(t testing.TB, dir string, before map[string]string) {
	t.Helper()
	after := files(t, dir)
	for name := range after {
		if before[name] != after[name] {
			t.Errorf("%s has changed", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files were there, now %d", len(before), len(after))
	}
}

// files is what each file of a folder holds.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	held := make(map[string]string)
	for _, e := range entries {
		if e.IsDir() {
			held[e.Name()] = "a folder"
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		held[e.Name()] = string(data)
	}
	return held
}

// closedStore makes a store with some rows and gives its folder.
func closedStore(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	for i := range 3 {
		phone(t, s, ann, fmt.Sprint(i))
	}
	for range 3 {
		arrive(t, s, a, 20, dawn)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func missingStore(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	if err := os.Remove(filepath.Join(dir, storeFile)); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, nil, "missing", "backup", filepath.Join(dir, keyFile))
	refused(t, dir, newKey(), "missing", "backup", filepath.Join(dir, keyFile))
}

// A first start is cut short before there is anything to lose, so the next one begins it again.
func firstStartCutShort(t *testing.T) {
	t.Parallel()
	whole := closedStore(t)
	store, err := os.ReadFile(filepath.Join(whole, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		unfinished []byte
		key        bool
	}{
		"empty":              {nil, false},
		"half":               {store[:len(store)/2], false},
		"whole, without key": {store, false},
		"whole, with key":    {store, true},
	} {
		dir := t.TempDir()
		putFile(t, filepath.Join(dir, storeFile+".new"), c.unfinished)
		if c.key {
			putFile(t, filepath.Join(dir, keyFile), []byte(base64.StdEncoding.EncodeToString(newKey())))
		}
		for range 2 {
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n := sizes(t, s)["users"]; n != 0 {
				t.Errorf("%s: the store has %d users", name, n)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, storeFile+".new")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the unfinished store is still there: %v", name, err)
		}
	}
}

func unknownFormat(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	for number, says := range map[uint64][]string{
		uint64(newestVersion()) + 1: {fmt.Sprint("format ", newestVersion()+1), "newer idlepush", "backup", migrate.Kept(storeFile, newestVersion())},
		1 << 63:                     {"format 9223372036854775808", "newer idlepush"},
		0:                           {"no format", "backup"},
	} {
		edit(t, dir, func(tx *table.Tx) error {
			row, _, err := metas.Get(tx, metaFormat)
			row.Number = number
			return errors.Join(err, metas.Put(tx, metaFormat, row))
		})
		refused(t, dir, nil, says...)
	}
	numbers := table.New[table.Text, int]("meta")
	edit(t, dir, func(tx *table.Tx) error { return numbers.Put(tx, metaFormat, 1) })
	refused(t, dir, nil, "damaged", "a row of meta cannot be read", "backup")
	edit(t, dir, func(tx *table.Tx) error { return metas.Delete(tx, metaFormat) })
	refused(t, dir, nil, "nothing in it is of idlepush", "backup")
}

// The layouts from before the first release had the number of their schema in the table of the same
// name.
func earlyStore(t *testing.T) {
	t.Parallel()
	schemas := table.New[table.Text, int]("meta")
	for schema := 1; schema <= 4; schema++ {
		dir := foreign(t, func(tx *table.Tx) error { return schemas.Put(tx, "schema", schema) })
		refused(t, dir, nil, "before the first release", "move the data folder away", "start again", "anew")
		refused(t, dir, newKey(), "before the first release")
		if _, err := Open(dir, unsynced); strings.Contains(err.Error(), "damaged") || strings.Contains(err.Error(), "backup") {
			t.Error(err)
		}
	}
}

func foreignFile(t *testing.T) {
	t.Parallel()
	theirs := table.New[table.Text, string]("theirs")
	for name, fill := range map[string]func(*table.Tx) error{
		"nothing in it": func(*table.Tx) error { return nil },
		"another table": func(tx *table.Tx) error { return theirs.Put(tx, "a", "b") },
		"one of ours":   func(tx *table.Tx) error { return devices.Put(tx, deviceKey{"a", "b"}, deviceRow{}) },
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, foreign(t, fill), nil, "nothing in it is of idlepush", "backup", "another data folder")
		})
	}
}

// A table whose name was damaged would look empty: without users, setup would begin anew.
func missingTable(t *testing.T) {
	t.Parallel()
	for _, lost := range tables {
		if lost.Name() == metas.Name() {
			continue // there the format lies
		}
		dir := closedStore(t)
		path := filepath.Join(dir, storeFile)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := []byte(lost.Name())
		damaged := bytes.Clone(name)
		damaged[len(damaged)-1]-- // the names stay in order
		putFile(t, path, bytes.ReplaceAll(data, name, damaged))
		if _, err := Open(dir, unsynced); !errors.Is(err, ErrCorrupt) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	theirs := table.New[table.Text, string]("theirs")
	dir := closedStore(t)
	edit(t, dir, func(tx *table.Tx) error { return theirs.Put(tx, "a", "b") })
	refused(t, dir, nil, "damaged", "unknown table", "theirs", "backup")
}

// foreign makes a file of tables in the place of a store, with a key, and gives its folder.
func foreign(t testing.TB, fill func(*table.Tx) error) (dir string) {
	t.Helper()
	dir = t.TempDir()
	key := newKey()
	putFile(t, filepath.Join(dir, keyFile), []byte(base64.StdEncoding.EncodeToString(key)))
	db, err := table.Create(filepath.Join(dir, storeFile), table.Options{Key: key, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fill), db.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit changes the file behind the store's back.
func edit(t testing.TB, dir string, fn func(*table.Tx) error) {
	t.Helper()
	db := openRows(t, filepath.Join(dir, storeFile))
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// openRows opens the tables of a store, or of one beside it, whatever its format.
func openRows(t testing.TB, path string) *table.DB {
	t.Helper()
	key, err := readKeyFile(filepath.Join(filepath.Dir(path), keyFile))
	if err != nil {
		t.Fatal(err)
	}
	db, err := table.Open(path, table.Options{Key: key, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func twoFirstStarts(t *testing.T) {
	t.Parallel()
	for range 20 {
		dir := t.TempDir()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				s, err := Open(dir, unsynced)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s, err := Open(dir, unsynced)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Outbox.VAPIDKey(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
