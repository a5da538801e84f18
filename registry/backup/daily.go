package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Daily makes a backup each day and removes the oldest.
type Daily struct {
	Folder string // is made if it is missing
	Keep   int    // how many backups stay
	Write  func(io.Writer) error
	Log    *slog.Logger
}

const (
	// day is how old the last backup is when the next is due.
	day = 24 * time.Hour

	// retry is how long a backup that has failed, or that somebody has removed, waits for the next
	// try.
	retry = time.Hour
)

// dailyName is the name of a daily backup, by when it was made.
const dailyName = "idlepush-20060102-150405.backup"

// Run makes backups until ctx ends. The first is due at once, unless there is one of the last day.
func (d Daily) Run(ctx context.Context) {
	for {
		wait, err := d.next(time.Now())
		if err == nil && wait <= 0 {
			if err = d.make(time.Now()); err == nil {
				continue
			}
		}
		if err != nil {
			d.Log.Error("no backup was made; the next try is in an hour", "err", err)
			wait = retry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(wait, retry)): // also if the clock is set, or a backup is removed
		}
	}
}

// next returns how long it is until the next backup is due.
func (d Daily) next(now time.Time) (time.Duration, error) {
	last, err := Last(d.Folder)
	if err != nil || last.IsZero() || last.After(now.Add(day)) { // the clock was wrong then
		return 0, err
	}
	return last.Add(day).Sub(now), nil
}

func (d Daily) make(now time.Time) error {
	if err := os.MkdirAll(d.Folder, 0o700); err != nil {
		return err
	}
	path := filepath.Join(d.Folder, now.UTC().Format(dailyName))
	if err := os.Remove(path + unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := WriteFile(path, d.Write); err != nil {
		return err
	}
	d.Log.Info("a backup was made", "file", path)
	return d.rotate()
}

// rotate removes the oldest backups, and what an interrupted one has left.
func (d Daily) rotate() error {
	left, err := filepath.Glob(filepath.Join(d.Folder, "idlepush-*.backup"+unfinished))
	if err != nil {
		return err
	}
	list, err := dailies(d.Folder)
	if err != nil {
		return err
	}
	for _, made := range list[:max(0, len(list)-d.Keep)] {
		left = append(left, filepath.Join(d.Folder, made.Format(dailyName)))
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove an old backup: %w", err)
		}
	}
	return nil
}

// dailies returns when the daily backups in the folder were made, the oldest first.
func dailies(folder string) (list []time.Time, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		if made, err := time.Parse(dailyName, entry.Name()); err == nil {
			list = append(list, made)
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	return list, err
}

// Last returns when the last daily backup in the folder was made, or the zero time if there is
// none.
func Last(folder string) (time.Time, error) {
	list, err := dailies(folder)
	if err != nil || len(list) == 0 {
		return time.Time{}, err
	}
	return list[len(list)-1], nil
}
