package backup

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry/registrytest"
)

func TestDaily(t *testing.T) {
	t.Parallel()
	backup, _ := madeOf(t, "")
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "backups")
		var fails error
		log, lines := registrytest.NewLog(t)
		d := Daily{Folder: folder, Keep: 3, Log: log, Write: func(w io.Writer) error {
			_, err := w.Write(backup)
			return errors.Join(err, fails)
		}}
		run := func(life time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), life)
			defer cancel()
			d.Run(ctx)
		}
		check := func(when string, days ...string) {
			t.Helper()
			var want []string
			for _, at := range days {
				want = append(want, "idlepush-200001"+at+".backup")
			}
			var got []string
			for name := range files(t, folder) {
				got = append(got, name)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s there are %v, want %v", when, got, want)
			}
		}
		run(time.Minute)
		check("at the start", "01-000000")
		run(4*24*time.Hour + time.Minute)
		check("after four days", "03-000000", "04-000000", "05-000000")
		fails = errors.New("the disk is full")
		run(24 * time.Hour)
		check("while it fails", "03-000000", "04-000000", "05-000000")
		if n := strings.Count(lines.String(), "the disk is full"); n < 1 || n > 24 {
			t.Errorf("the log has it %d times", n)
		}
		fails = nil
		if err := os.WriteFile(filepath.Join(folder, "idlepush-20000101-000000.backup.new"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "mine"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		run(time.Hour)
		if err := os.Remove(filepath.Join(folder, "mine")); err != nil {
			t.Errorf("it removes what is not its own: %v", err)
		}
		check("once it works again, by a restart", "04-000000", "05-000000", "06-000200")
		if last, err := Last(folder, time.Now()); err != nil || !last.Equal(time.Now().Add(-time.Hour)) {
			t.Errorf("the last is of %v, %v", last, err)
		}
	})
}

func TestDailyAfterAWrongClock(t *testing.T) {
	t.Parallel()
	backup, _ := madeOf(t, "")
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		ahead := filepath.Join(folder, "idlepush-20260101-000000.backup")
		if err := os.WriteFile(ahead, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		log, lines := registrytest.NewLog(t)
		made := 0
		d := Daily{Folder: folder, Keep: 1, Log: log, Write: func(w io.Writer) error {
			made++
			_, err := w.Write(backup)
			return err
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 47*time.Hour)
		defer cancel()
		d.Run(ctx)
		got := files(t, folder)
		if _, found := got["idlepush-20000102-000000.backup"]; made != 2 || len(got) != 1 || !found {
			t.Errorf("%d were made, and %d are left:\n%s", made, len(got), lines)
		}
	})
}

func TestDailyThatCannotRemoveAnOldOne(t *testing.T) {
	t.Parallel()
	backup, _ := madeOf(t, "")
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "[odd")
		for _, name := range []string{"idlepush-19991231-000000.backup/full", "idlepush-19991230-000000.backup.new"} {
			if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		log, lines := registrytest.NewLog(t)
		d := Daily{Folder: folder, Keep: 1, Log: log, Write: func(w io.Writer) error {
			_, err := w.Write(backup)
			return err
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Hour)
		defer cancel()
		d.Run(ctx)
		if n := strings.Count(lines.String(), "an old backup cannot be removed"); n != 1 || strings.Contains(lines.String(), "no backup was made") {
			t.Errorf("the log says it %d times:\n%s", n, lines)
		}
		if _, err := os.Stat(filepath.Join(folder, "idlepush-19991230-000000.backup.new")); err == nil {
			t.Error("what was not finished stays")
		}
	})
}

func TestDailyEndsWhileItWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := registrytest.NewLog(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		d := Daily{Folder: t.TempDir(), Keep: 1, Log: log, Write: func(w io.Writer) error {
			for time.Since(began) < time.Hour {
				time.Sleep(time.Second) // the disk is slow
				if _, err := w.Write([]byte("a part")); err != nil {
					return err
				}
			}
			return nil
		}}
		d.Run(ctx)
		if took := time.Since(began); took > time.Minute+5*time.Second || lines.String() != "" || len(files(t, d.Folder)) > 0 {
			t.Errorf("it ended after %v, and left %v:\n%s", took, files(t, d.Folder), lines)
		}
	})
}
