package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"idlepush"
	"idlepush/registry/table"
)

// othersMode has the permissions of all but the owner of a file.
const othersMode fs.FileMode = 0o077

// probeFile is the file with which checkModes tries what a mode is worth. It is removed at once.
const probeFile = "mode-test"

// checkModes returns an error if others can read or write the files of the store, or put files into
// its folder. If the file system does not let the modes be changed, as CIFS and exFAT do not, it
// returns a warning instead. keeps is keepsModes, except in tests.
func checkModes(dir string, keeps func(dir string) bool) ([]idlepush.Reason, error) {
	open, command, err := openFiles(dir)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	if !keeps(dir) {
		return []idlepush.Reason{{Code: codeFilesOpen, Params: map[string]string{"files": strings.Join(open, ", ")}}}, nil
	}
	return nil, fmt.Errorf("others on this machine can read or write %s in the data folder %s: run `%s`, and if others may have used that, set new passwords for the mailboxes",
		strings.Join(open, ", "), dir, command)
}

// CheckModes looks at the files of the store again, as Open does: it returns the same warnings and
// errors.
func (s *Store) CheckModes() ([]idlepush.Reason, error) { return checkModes(s.dir, keepsModes) }

// openFiles returns the files that others can read or write, and the command that ends this. The
// folder itself is ".": others may list it, but not write it, unless it has the sticky bit.
func openFiles(dir string) (open []string, command string, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, "", err
	}
	var commands []string
	if info.Mode()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		open, commands = append(open, "."), append(commands, "chmod go-w "+quoted(dir))
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, "", err
	}
	var files string
	for _, entry := range list {
		if name := entry.Name(); name != keyFile && name != setupFile && !strings.HasPrefix(name, storeFile) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if info.Mode()&othersMode != 0 && !info.IsDir() {
			open, files = append(open, entry.Name()), files+" "+quoted(path)
		}
	}
	if files != "" {
		commands = append(commands, "chmod go="+files)
	}
	return open, strings.Join(commands, " && "), nil
}

// quoted returns a path for a shell.
func quoted(path string) string {
	if !strings.ContainsAny(path, " \t\n'\"\\$`&;|<>()*?[]#~!{}") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// keepsModes reports whether a file in the folder has the mode that it is given. If no file can be
// made there, it assumes so, unless the file system is read-only.
func keepsModes(dir string) bool {
	path := filepath.Join(dir, probeFile)
	_ = os.Remove(path) // left by a crash
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return table.CauseOf(err) != table.CauseReadOnly
	}
	defer os.Remove(path)
	defer f.Close()
	info, err := f.Stat()
	return err == nil && info.Mode()&othersMode == 0
}
