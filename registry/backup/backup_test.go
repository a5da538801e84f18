package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/registry/table"
)

func TestMain(m *testing.M) {
	workFactor = 10
	goleak.VerifyTestMain(m)
}

// noon is when backups are made.
var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

const passphrase = registrytest.SecretMarker + " passphrase"

// asked answers the question for the passphrase.
func asked(words string) func() (string, error) {
	return func() (string, error) { return words, nil }
}

// notAsked fails the test when the passphrase is asked for.
func notAsked(t *testing.T) func() (string, error) {
	return func() (string, error) {
		t.Error("it asks for a passphrase")
		return "", errors.New("nobody answers")
	}
}

// made returns a backup of the store, with its key if words are given for it.
func made(t *testing.T, s *registry.Store, words string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, s, "v1.2.3", words, noon); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// madeOf returns the backup of a store with two users and a mailbox, and its data folder.
func madeOf(t *testing.T, words string) (backup []byte, dir string) {
	t.Helper()
	dir, anna, _ := registrytest.DirWithUsers(t)
	s := registrytest.Open(t, dir)
	defer s.Close()
	mailbox := idlepush.Account{Owner: anna.ID, Email: "anna@example.org", Host: "imap.example.org", Port: 993, Security: "tls", Username: "anna", Password: registrytest.SecretMarker, Folders: []string{"INBOX"}, Enabled: true}
	if _, _, err := s.Accounts.Add(mailbox, "", noon); err != nil {
		t.Fatal(err)
	}
	return made(t, s, words), dir
}

// files returns the content of each file of a folder, by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir+"/")] = string(data)
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// checkStore holds a data folder to what madeOf has put into its store.
func checkStore(t *testing.T, dir string, key []byte) {
	t.Helper()
	s, err := registry.Open(dir, registry.Options{Key: key, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.Mail.Accounts()
	if err != nil || len(list) != 1 || list[0].Password != registrytest.SecretMarker {
		t.Errorf("it has %+v, %v", list, err)
	}
	if restored, err := s.Restored(); !restored || err != nil {
		t.Errorf("it does not know that it was restored: %v", err)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	t.Run("a backup with its key needs nothing but the passphrase", restoreWithKey)
	t.Run("a backup without the key needs the key file, or the setting", restoreWithoutKey)
	t.Run("a store that is there stays, unless it is to be replaced, and then it is kept", restoreOver)
	t.Run("bad input changes nothing", restoreBad)
	t.Run("a backup that is cut short or changed anywhere changes nothing", restoreCut)
}

func restoreWithKey(t *testing.T) {
	t.Parallel()
	backup, _ := madeOf(t, passphrase)
	dir := filepath.Join(t.TempDir(), "elsewhere")
	o, kept, err := Keys{Dir: dir, Passphrase: asked(passphrase)}.Restore(bytes.NewReader(backup), false, noon)
	if err != nil || kept != "" || o.Rows < 5 || o.About != (About{1, noon, "v1.2.3", true}) {
		t.Fatalf("%+v, %q, %v", o, kept, err)
	}
	for name := range files(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 || name != "idlepush.db" && name != "key" {
			t.Errorf("there is %s with mode %v, %v", name, info.Mode(), err)
		}
	}
	checkStore(t, dir, nil)
}

func restoreWithoutKey(t *testing.T) {
	t.Parallel()
	backup, from := madeOf(t, "")
	dir := t.TempDir()
	keys := Keys{Dir: dir, Passphrase: notAsked(t)}
	_, _, err := keys.Restore(bytes.NewReader(backup), false, noon)
	if err == nil || !strings.Contains(err.Error(), "put the file `key`, which was kept apart from it, into "+dir) || len(files(t, dir)) > 0 {
		t.Fatalf("without a key: %v, %v", err, files(t, dir))
	}
	text, err := os.ReadFile(filepath.Join(from, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.Restore(bytes.NewReader(backup), false, noon); err != nil {
		t.Fatal(err)
	}
	checkStore(t, dir, nil)

	key, err := registry.ParseKey(string(text))
	if err != nil {
		t.Fatal(err)
	}
	bare := t.TempDir()
	if _, _, err := (Keys{Dir: bare, Key: key, Passphrase: notAsked(t)}).Restore(bytes.NewReader(backup), false, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bare, "key")); err == nil {
		t.Error("a key that is a setting is written into the folder")
	}
	checkStore(t, bare, key)
}

// atEnd is an empty reader that does something when it is read.
type atEnd func()

func (f atEnd) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func restoreOver(t *testing.T) {
	t.Parallel()
	backup, dir := madeOf(t, "")
	before := files(t, dir)
	keys := Keys{Dir: dir, Passphrase: notAsked(t)}
	_, _, err := keys.Restore(bytes.NewReader(backup), false, noon)
	if err == nil || !strings.Contains(err.Error(), "there is a store already") || !reflect.DeepEqual(files(t, dir), before) {
		t.Fatalf("it is replaced: %v", err)
	}
	held := registrytest.Open(t, dir)
	_, _, err = keys.Restore(bytes.NewReader(backup), true, noon)
	if err == nil || !strings.Contains(err.Error(), "idlepush runs with the store") {
		t.Errorf("in use: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err = keys.Restore(io.MultiReader(bytes.NewReader(backup), atEnd(func() { held = registrytest.Open(t, dir) })), true, noon)
	if err == nil || !strings.Contains(err.Error(), "idlepush runs with the store") {
		t.Errorf("in use since it was read: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	before = files(t, dir)
	_, kept, err := keys.Restore(bytes.NewReader(backup), true, noon)
	if err != nil || kept != filepath.Join(dir, "idlepush.db.replaced-20261130-120000") {
		t.Fatalf("%q, %v", kept, err)
	}
	if after := files(t, dir); after[filepath.Base(kept)] != before["idlepush.db"] {
		t.Error("the store that was there is lost")
	}
	checkStore(t, dir, nil)

	withKey, _ := madeOf(t, passphrase)
	if err := errors.Join(os.Remove(filepath.Join(dir, "key")), os.Remove(kept), os.MkdirAll(kept+"/in/its/way", 0o700)); err != nil {
		t.Fatal(err)
	}
	before = files(t, dir)
	if _, _, err := (Keys{Dir: dir, Passphrase: asked(passphrase)}).Restore(bytes.NewReader(withKey), true, noon); err == nil || !reflect.DeepEqual(files(t, dir), before) {
		t.Errorf("a store that cannot be kept: %v, and there are now %d files", err, len(files(t, dir)))
	}

	if err := os.WriteFile(filepath.Join(dir, "idlepush.db"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys = Keys{Dir: dir, Passphrase: asked(passphrase)}
	backup = withKey
	if _, _, err := keys.Restore(bytes.NewReader(backup), true, noon.Add(time.Minute)); err != nil {
		t.Errorf("in the place of a damaged store: %v", err)
	}
	checkStore(t, dir, nil)
}

// otherwise returns the backup with another content of one of its files, and true sums.
func otherwise(t *testing.T, about string, s *registry.Store) []byte {
	t.Helper()
	var out bytes.Buffer
	err := s.Snapshot(func(of table.Snapshot) error {
		w := newWriter(&out, noon)
		return errors.Join(w.add(aboutFile, int64(len(about)), strings.NewReader(about)), w.add(storeFile, of.Size(), of), w.end())
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func restoreBad(t *testing.T) {
	t.Parallel()
	backup, from := madeOf(t, passphrase)
	bare, _ := madeOf(t, "")
	s := registrytest.Open(t, from)
	newer := otherwise(t, `{"format":2,"program":"v9"}`, s)
	odd := otherwise(t, `[]`, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "key"), []byte(strings.Repeat("A", 43)+"=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]struct {
		backup []byte
		keys   Keys
		want   string
	}{
		"a wrong passphrase": {backup, Keys{Dir: missing, Passphrase: asked("x")}, "the passphrase is not that of the backup: nothing was changed"},
		"no passphrase":      {backup, Keys{Dir: missing, Passphrase: asked("")}, "the passphrase is not that of the backup: nothing was changed"},
		"a newer backup":     {newer, Keys{Dir: missing}, "the backup was made by a newer idlepush (v9): use that one"},
		"the key of another": {bare, Keys{Dir: foreign}, "the key does not fit it"},
		"the key of another beside that of the backup": {backup, Keys{Dir: foreign}, "move the file " + filepath.Join(foreign, "key") + " away"},
		"nothing":         {nil, Keys{Dir: missing}, "this is no backup of idlepush"},
		"some file":       {bytes.Repeat([]byte("mail "), 1000), Keys{Dir: missing}, "this is no backup of idlepush"},
		"an odd tar file": {odd, Keys{Dir: missing}, "this is no backup of idlepush"},
	} {
		before := files(t, c.keys.Dir)
		_, _, err := c.keys.Restore(bytes.NewReader(c.backup), false, noon)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(files(t, c.keys.Dir), before) {
			t.Errorf("%s: the folder was changed", name)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("it makes the folder that is missing")
	}
}

func restoreCut(t *testing.T) {
	t.Parallel()
	backup, _ := madeOf(t, passphrase)
	content := len(bytes.TrimRight(backup, "\x00"))
	dir := filepath.Join(t.TempDir(), "dir")
	try := func(what string, data []byte) {
		t.Helper()
		_, _, err := Keys{Dir: dir, Passphrase: asked(passphrase)}.Restore(bytes.NewReader(data), false, noon)
		if err == nil || errors.Is(err, ErrPassphrase) {
			t.Fatalf("%s: %v", what, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Fatalf("%s: something is left", what)
		}
	}
	for size := 0; size < content; size += 511 {
		try(fmt.Sprintf("cut to %d bytes", size), backup[:size])
	}
	try("cut by its last byte", backup[:content-1])
	for at := 1030; at < content; at += 2003 {
		if changed := slices.Clone(backup); changed[at] != 0 { // zeros may be padding
			changed[at] ^= 1
			try(fmt.Sprintf("byte %d is changed", at), changed)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	backup, from := madeOf(t, passphrase)
	parent := t.TempDir()
	killed := filepath.Join(parent, "idlepush-check-17", "idlepush.db")
	err := errors.Join(os.Mkdir(filepath.Dir(killed), 0o700), os.WriteFile(killed, nil, 0o600), os.Chtimes(filepath.Dir(killed), noon, time.Now().Add(-25*time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	before := files(t, from)
	o, err := Keys{Dir: from, Passphrase: notAsked(t)}.Check(bytes.NewReader(backup), parent)
	if err != nil || o.Rows < 5 {
		t.Errorf("%+v, %v", o, err)
	}
	if len(files(t, parent)) > 0 || !reflect.DeepEqual(files(t, from), before) {
		t.Error("it leaves something, or has changed the data folder")
	}
}

func TestBackupIsReadByOtherPrograms(t *testing.T) {
	t.Parallel()
	backup, _ := madeOf(t, passphrase)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "backup"), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-c", "tar --warning=no-timestamp -xf backup && sha256sum -c SHA256SUMS && head -1 key.age")
	c.Dir = dir
	out, err := c.CombinedOutput()
	if want := "about.json: OK\nidlepush.db: OK\nkey.age: OK\n-----BEGIN AGE ENCRYPTED FILE-----\n"; err != nil || string(out) != want {
		t.Errorf("%v, %s", err, out)
	}
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	backup, _ := madeOf(t, "")
	dir := t.TempDir()
	path := filepath.Join(dir, "backup")
	fill := func(data []byte) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}
	}
	if err := WriteFile(path, fill(backup[:len(backup)/2])); !errors.Is(err, errShort) || len(files(t, dir)) > 0 {
		t.Errorf("cut short: %v, %v", err, files(t, dir))
	}
	if err := WriteFile(path, fill(backup)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if err := WriteFile(path, fill(nil)); err == nil || !strings.Contains(err.Error(), "exists already: give another name") || files(t, dir)["backup"] != string(backup) {
		t.Errorf("a file that is there: %v", err)
	}
	if len(files(t, dir)) != 1 {
		t.Error("something is left")
	}
}
