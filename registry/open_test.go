package registry

import (
	"bufio"
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

	bolt "go.etcd.io/bbolt"
)

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

// checkInUse opens the store in dir, which is in use: within two seconds there is an error that names
// the path. The seconds are a synctest bubble's, so it does not matter how slow the machine is.
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

func TestASecondProcessIsToldWithinTwoSecondsThatTheStoreIsInUse(t *testing.T) {
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

func TestASecondOpenInTheSameProcessIsToldTheSame(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	checkInUse(t, s.dir, filepath.Join(s.dir, storeFile))
}

// TestAStoreThatIsBeingMadeIsInUse while another makes the store.
func TestAStoreThatIsBeingMadeIsInUse(t *testing.T) {
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

func TestTheStoreIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetupToken(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{".": fs.ModeDir | 0o700, "idlepush.db": 0o600, "key": 0o600, "setup-token": 0o600}
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

func TestAKeyFromTheEnvironmentMakesNoKeyFile(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), newKey()
	for range 2 {
		s, err := Open(dir, Options{Key: key, NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, keyFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key file: %v", err)
	}
	refused(t, dir, nil, "key", "missing", "environment")
}

func TestAKeyIsThirtyTwoBytesOfBase64(t *testing.T) {
	t.Parallel()
	key := newKey()
	for _, text := range []string{base64.StdEncoding.EncodeToString(key), base64.RawStdEncoding.EncodeToString(key), " " + base64.StdEncoding.EncodeToString(key) + "\r\n"} {
		if got, err := ParseKey(text); err != nil || string(got) != string(key) {
			t.Errorf("%v", err)
		}
	}
	for name, text := range map[string]string{"empty": "", "short": base64.StdEncoding.EncodeToString(key[:31]), "long": base64.StdEncoding.EncodeToString(append(key, 0)),
		"hex": fmt.Sprintf("%x", key), "words": "correct horse battery staple"} {
		if _, err := ParseKey(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", name, err)
		}
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

// closedStore makes a store with something in each bucket and gives its folder.
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

func putFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAStoreWithoutItsKeyIsRefusedAsItIs(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	key := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, dir, newKey(), "the key does not fit", "backup")
	putFile(t, key, []byte(base64.StdEncoding.EncodeToString(newKey())))
	refused(t, dir, nil, "the key does not fit", "backup")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, nil, key, "missing", "backup")
	for _, bad := range []string{"", "not a key", string(text[:10])} {
		putFile(t, key, []byte(bad))
		if _, err := Open(dir, unsynced); err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("key file %q: %v", bad, err)
		}
	}
	putFile(t, key, text)
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatalf("with its key back: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAStoreThatIsMissingIsNotReplacedWhileItsKeyIsThere(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	if err := os.Remove(filepath.Join(dir, storeFile)); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, nil, "missing", "backup", filepath.Join(dir, keyFile))
	refused(t, dir, newKey(), "missing", "backup", filepath.Join(dir, keyFile))
}

// A first start is cut short before there is anything to lose, so the next one begins it again.
func TestAFirstStartThatWasCutShortIsBegunAgain(t *testing.T) {
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

func TestAStoreOfANewerProgramIsRefusedAsItIs(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	for version, says := range map[string]string{fmt.Sprint(len(steps) + 1): fmt.Sprint("schema version ", len(steps)+1), "99": "schema version 99", "0": "no schema version", `"x"`: "no schema version", "-1": "no schema version"} {
		edit(t, dir, func(tx *bolt.Tx) error { return tx.Bucket(meta).Put(metaSchema, []byte(version)) })
		refused(t, dir, nil, says, "backup")
	}
	edit(t, dir, func(tx *bolt.Tx) error { return tx.Bucket(meta).Delete(metaSchema) })
	refused(t, dir, nil, "no schema version", "backup")
}

// As one flipped bit in its name makes it.
func TestAStoreThatLacksABucketIsRefusedAsItIs(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	edit(t, dir, func(tx *bolt.Tx) error { return tx.DeleteBucket(notifications) })
	refused(t, dir, nil, "damaged", "backup")
}

// A bbolt file of some other program has no meta bucket, or one without our names.
func TestAFileOfAnotherProgramIsRefusedAsItIs(t *testing.T) {
	t.Parallel()
	for name, fill := range map[string]func(*bolt.Tx) error{
		"nothing in it":  func(*bolt.Tx) error { return nil },
		"another bucket": func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err },
		"one of ours":    func(tx *bolt.Tx) error { _, err := tx.CreateBucket(devices); return err },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			putFile(t, filepath.Join(dir, keyFile), []byte(base64.StdEncoding.EncodeToString(newKey())))
			edit(t, dir, fill)
			refused(t, dir, nil, "backup")
		})
	}
}

// edit changes the file behind the store's back.
func edit(t testing.TB, dir string, fn func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, storeFile), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestTwoFirstStartsAtOnceMakeOneStoreWithItsKey(t *testing.T) {
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
		if _, err := s.VAPIDKey(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
