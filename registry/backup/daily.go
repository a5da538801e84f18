package backup

import (
	"context"
	"errors"
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
	for ctx.Err() == nil {
		wait, err := d.next(time.Now())
		if err == nil && wait <= 0 {
			if err = d.make(ctx, time.Now()); err == nil {
				continue
			}
		}
		if err != nil && ctx.Err() == nil {
			d.Log.Error("no backup was made; the next try is in an hour", "err", err)
			wait = retry
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(wait, retry)): // also if the clock is set, or a backup is removed
		}
	}
}

// next returns how long it is until the next backup is due.
func (d Daily) next(now time.Time) (time.Duration, error) {
	last, err := Last(d.Folder, now)
	if err != nil || last.IsZero() || isAhead(last, now) {
		return 0, err
	}
	return last.Add(day).Sub(now), nil
}

func (d Daily) make(ctx context.Context, now time.Time) error {
	if err := os.MkdirAll(d.Folder, 0o700); err != nil {
		return err
	}
	path := filepath.Join(d.Folder, now.UTC().Format(dailyName))
	if err := os.Remove(path + unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := WriteFile(path, func(w io.Writer) error { return d.Write(untilDone{ctx, w}) }); err != nil {
		return err
	}
	d.Log.Info("a backup was made", "file", path)
	if err := d.rotate(now); err != nil {
		d.Log.Error("an old backup cannot be removed, and takes up room: remove it yourself", "err", err)
	}
	return nil
}

// untilDone is a writer that fails once ctx has ended: a slow disk must not hold up the end of the
// program.
type untilDone struct {
	ctx context.Context
	io.Writer
}

func (w untilDone) Write(data []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(data)
}

// rotate removes the oldest backups, and what an interrupted one has left.
func (d Daily) rotate(now time.Time) error {
	entries, err := os.ReadDir(d.Folder)
	if err != nil {
		return err
	}
	var old []string
	for _, entry := range entries {
		if _, err := time.Parse(dailyName+unfinished, entry.Name()); err == nil {
			old = append(old, entry.Name())
		}
	}
	list, err := dailies(d.Folder, now)
	for _, made := range list[:max(0, len(list)-d.Keep)] {
		old = append(old, made.Format(dailyName))
	}
	for _, name := range old {
		err = errors.Join(err, os.Remove(filepath.Join(d.Folder, name)))
	}
	return err
}

// isAhead reports whether a backup is of a time to come, because the clock was wrong then.
func isAhead(made, now time.Time) bool { return made.After(now.Add(day)) }

// dailies returns when the daily backups in the folder were made, the oldest first. Those that are
// ahead of now count as the oldest: they must not stand for a newer one, nor take its place.
func dailies(folder string, now time.Time) (list []time.Time, err error) {
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
	if i := slices.IndexFunc(list, func(made time.Time) bool { return isAhead(made, now) }); i >= 0 {
		list = slices.Concat(list[i:], list[:i])
	}
	return list, err
}

// Last returns when the last daily backup in the folder was made, as of now, or the zero time.
func Last(folder string, now time.Time) (time.Time, error) {
	list, err := dailies(folder, now)
	if err != nil || len(list) == 0 {
		return time.Time{}, err
	}
	return list[len(list)-1], nil
}
