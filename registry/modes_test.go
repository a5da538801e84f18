package registry

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes")
	}
	t.Parallel()
	t.Run("files that others can read are refused, with the command that closes them", openFilesRefused)
	t.Run("a folder that others may list is fine", listedFolder)
	t.Run("there is a warning where a mode cannot be changed", modesKept)
	t.Run("a new file follows no link", noLinks)
}

// modeStore returns the folder of a store that is closed, with a file of every kind.
func modeStore(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "it's data")
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
	putFile(t, filepath.Join(dir, storeFile+".v1"), nil)
	return dir
}

func openFilesRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		file string
		mode fs.FileMode
	}{
		{keyFile, 0o644}, {keyFile, 0o640}, {keyFile, 0o604}, {keyFile, 0o620}, {storeFile, 0o644}, {storeFile, 0o602}, {storeFile + ".v1", 0o644},
		{storeFile + ".closed", 0o644}, {setupFile, 0o644}, {".", 0o777}, {".", 0o770}, {".", 0o702},
	} {
		t.Run(row.file+" "+row.mode.String(), func(t *testing.T) {
			dir := modeStore(t)
			if err := os.Chmod(filepath.Join(dir, row.file), row.mode); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, unsynced)
			if err == nil {
				t.Fatalf("it opens: %v", s.Close())
			}
			says, command, _ := strings.Cut(err.Error(), "run `")
			command, _, _ = strings.Cut(command, "`")
			if !strings.Contains(says, row.file+" in the data folder "+dir) || !strings.HasPrefix(command, "chmod ") {
				t.Errorf("it says %v", err)
			}
			if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %s, %v", command, out, err)
			}
			if s, err = Open(dir, unsynced); err != nil {
				t.Fatalf("after %s: %v", command, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func listedFolder(t *testing.T) {
	t.Parallel()
	within := modeStore(t)
	if err := os.Mkdir(filepath.Join(within, storeFile+".backups"), 0o755); err != nil {
		t.Fatal(err)
	}
	if warnings, err := checkModes(within, keepsModes); err != nil || len(warnings) > 0 {
		t.Errorf("with another folder in it: %v, %v", warnings, err)
	}
	for _, mode := range []fs.FileMode{0o755, 0o750, 0o777 | fs.ModeSticky} {
		dir := modeStore(t)
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if warnings, err := checkModes(dir, keepsModes); err != nil || len(warnings) > 0 {
			t.Errorf("%v: %v, %v", mode, warnings, err)
		}
	}
}

func modesKept(t *testing.T) {
	t.Parallel()
	dir := modeStore(t)
	if !keepsModes(dir) {
		t.Error("this file system keeps modes")
	}
	for _, name := range []string{keyFile, storeFile} {
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	warnings, err := checkModes(dir, func(string) bool { return false })
	if err != nil || len(warnings) != 1 || warnings[0].Code != codeFilesOpen || warnings[0].Params["files"] != "idlepush.db, key" {
		t.Errorf("%+v, %v", warnings, err)
	}
	for name := range files(t, dir) {
		if name == probeFile {
			t.Error("the probe is left")
		}
	}
}

// noLinks: somebody who can write to the folder puts links where the next files will be.
func noLinks(t *testing.T) {
	t.Parallel()
	dir, victim := modeStore(t), filepath.Join(t.TempDir(), "victim")
	putFile(t, victim, []byte("dear"))
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{setupFile + ".new", setupFile, storeFile + ".closed", storeFile + ".compact", storeFile + ".upgrade", probeFile} {
		_ = os.Remove(filepath.Join(dir, name))
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Users.SetupToken(); err != nil {
		t.Error(err)
	}
	if !keepsModes(dir) {
		t.Error("the probe follows the link")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "dear" {
		t.Errorf("the victim has %q, %v", text, err)
	}
	if info, err := os.Lstat(filepath.Join(dir, setupFile)); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the setup token is in a link: %v", err)
	}
}
