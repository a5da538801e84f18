//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// program measures the binary, and how soon it is ready.
func program(ctx context.Context, l *lab) ([]line, error) {
	dir := filepath.Join(l.disk, "release")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	path, err := buildDaemon(dir, false)
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for range l.rounds {
		d, err := l.startDaemon(ctx, l.disk, household{accounts: 10}, true)
		if err != nil {
			return nil, err
		}
		times = append(times, d.took)
		d.stop()
	}
	return []line{
		{"binary, stripped", unmeasured, inMB(file.Size()), unmeasured, "≤ 22 MB"},
		{"start until ready, with 10 accounts", unmeasured, inMs(quantile(times, 0.5)), unmeasured, ""},
	}, nil
}
