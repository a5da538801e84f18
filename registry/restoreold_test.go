package registry_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush/registry"
	"idlepush/registry/backup"
	"idlepush/registry/table"
)

// TestRestoreOfAnOlderFormat: a backup of an older idlepush is brought to the newest format, and
// the older idlepush still restores the same file.
func TestRestoreOfAnOlderFormat(t *testing.T) {
	dir, before := registry.OldStore(t)
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	var file bytes.Buffer
	if err := (backup.Keys{Dir: dir}).WriteStopped(&file, "v1", "", now); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	// restored restores the backup in a new data folder, and returns the files that are there then.
	restored := func() (into string, names []string, err error) {
		into = t.TempDir()
		if err := os.WriteFile(filepath.Join(into, "key"), key, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err = backup.Keys{Dir: into}.Restore(bytes.NewReader(file.Bytes()), false, now)
		entries, readErr := os.ReadDir(into)
		if readErr != nil {
			t.Fatal(readErr)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return into, names, err
	}
	check := func(about string, want map[string]string) {
		t.Helper()
		into, names, err := restored()
		if err != nil || !slices.Equal(names, []string{"idlepush.db", "key"}) {
			t.Fatalf("%s: %v, and there are %v", about, err, names)
		}
		got := registry.Holds(t, into)
		if got["meta restored"] == "" {
			t.Errorf("%s: the next start does not wait for the mailboxes", about)
		}
		if delete(got, "meta restored"); !maps.Equal(got, want) {
			t.Errorf("%s: it holds\n%v, want\n%v", about, got, want)
		}
	}
	fails := errors.New("the row of a device is older than it can be")
	registry.WithSteps(t, func(db *table.DB) error { return errors.Join(registry.LinkUp(db), fails) })
	if _, names, err := restored(); err == nil || !strings.Contains(err.Error(), fails.Error()) || !slices.Equal(names, []string{"key"}) {
		t.Errorf("an upgrade that fails: %v, and there are %v", err, names)
	}
	registry.UseBefore(func() {
		check("with the idlepush of then", before)
		registry.WithSteps(t, registry.LinkUp)
		check("with a newer one", registry.Upgraded(before, 1))
	})
}
