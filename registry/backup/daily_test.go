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
		if last, err := Last(folder); err != nil || !last.Equal(time.Now().Add(-time.Hour)) {
			t.Errorf("the last is of %v, %v", last, err)
		}
	})
}
