package table

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"idlepush/registry/testenv"
)

// Tests that need a second process run this test binary again, with a role in its environment.
const (
	roleVariable = "TEST_ROLE"
	pathVariable = "TEST_PATH"
)

var roles = map[string]func(path string) error{
	"hold the file":          holdFile,
	"use a read-only folder": useReadOnlyFolder,
	"fill the disk":          fillDisk,
	"compact a full disk":    compactFullDisk,
	"open and close":         openAndClose,
	"open too many files":    openTooManyFiles,
	"lack permission":        lackPermission,
	"read damage":            readDamage,
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		goleak.VerifyTestMain(m)
	}
	if err := roles[role](os.Getenv(pathVariable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("done")
}

// child returns the command that runs this test binary in another role. It ends with the
// testenv.Context of the test.
func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(testenv.Context(t), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, pathVariable+"="+path)
	return cmd
}

// runChild runs a child. Its errors fail the test.
func runChild(t *testing.T, role, path string) {
	t.Helper()
	if out, err := child(t, role, path).CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "done\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// number is a key.
type number uint64

func (n number) Append(data []byte) []byte { return AppendUint64(data, uint64(n)) }

func (number) Parse(data []byte) (number, error) {
	f := Split(data)
	return number(f.Uint64()), f.Err()
}

// person is a row.
type person struct {
	Name  string
	Towns []string
}

var (
	people = New[number, person]("people")
	named  = NewIndex(people, "people/name", func(_ number, row person) []Text {
		if row.Name == "" {
			return nil
		}
		return []Text{Text(row.Name)}
	})
	livingIn = NewIndex(people, "people/town", func(k number, row person) (list []inTown) {
		for _, town := range row.Towns {
			list = append(list, inTown{town, k})
		}
		return list
	})

	words = New[Text, string]("words") // has no index
)

// inTown is a key with two fields.
type inTown struct {
	town string
	who  number
}

func (k inTown) Append(data []byte) []byte { return k.who.Append(AppendText(data, k.town)) }

func (inTown) Parse(data []byte) (inTown, error) {
	f := Split(data)
	return inTown{f.Text(), number(f.Uint64())}, f.Err()
}

// town is the prefix of the keys of its people.
type town string

func (p town) Append(data []byte) []byte { return AppendText(data, string(p)) }

// unsynced returns the options of a file that need not survive a power cut.
func unsynced() Options { return Options{Key: make([]byte, KeySize), NoSync: true} }

// newDB makes a file and closes it when the test ends.
func newDB(t testing.TB, o Options) *DB {
	t.Helper()
	o.Key, o.NoSync = make([]byte, KeySize), true
	db, err := Create(filepath.Join(t.TempDir(), "db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func closeDB(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// update runs fn in a transaction. An error ends the test.
func update(t testing.TB, db *DB, fn func(tx *Tx) error) {
	t.Helper()
	if err := db.Update(fn); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, db *DB, fn func(tx *Tx) error) {
	t.Helper()
	if err := db.View(fn); err != nil {
		t.Fatal(err)
	}
}

// put writes words. The key of each is the word itself.
func put(t testing.TB, db *DB, list ...string) {
	t.Helper()
	update(t, db, func(tx *Tx) error {
		for _, w := range list {
			if err := words.Put(tx, Text(w), w); err != nil {
				return err
			}
		}
		return nil
	})
}

// all returns the words of the file.
func all(t testing.TB, db *DB) (list []string) {
	t.Helper()
	view(t, db, func(tx *Tx) error {
		rows, err := words.First(tx, Range{}, NoLimit)
		for _, row := range rows {
			if string(row.Key) != row.Value {
				t.Errorf("under %q is %q", row.Key, row.Value)
			}
			list = append(list, row.Value)
		}
		return err
	})
	return list
}

// closedDB makes a file with some words and closes it.
func closedDB(t testing.TB, list ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "db")
	db, err := Create(path, unsynced())
	if err != nil {
		t.Fatal(err)
	}
	put(t, db, list...)
	closeDB(t, db)
	return path
}

// openDB opens a file and closes it when the test ends. An error ends the test.
func openDB(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(path, unsynced())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func putWord(w string) func(*Tx) error {
	return func(tx *Tx) error { return words.Put(tx, Text(w), w) }
}

// recovered returns the value that fn panics with, or nil.
func recovered(fn func()) (r any) {
	defer func() { r = recover() }()
	fn()
	return nil
}
