package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKey(t *testing.T) {
	t.Parallel()
	t.Run("a key from the environment makes no key file", keyGiven)
	t.Run("a key is 32 bytes of base64", keyForm)
	t.Run("a store without its key is refused and not changed", keyMissing)
}

func keyGiven(t *testing.T) {
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

func keyForm(t *testing.T) {
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

func keyMissing(t *testing.T) {
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
	refused(t, dir, nil, key, "missing", "copy")
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
