//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"idlepush/push/pushtest"
)

// options are the flags.
type options struct {
	size     int // 0: that of each row
	rounds   int
	profiles string // folder; empty: none are made
}

// lab is what the rows share: a mail server, push services, and idlepush.
type lab struct {
	options
	disk    string // folder on a disk
	memory  string // folder in memory
	program string // path of idlepush, with the probe
	profile string // path of profiles, without extension; empty: none are made

	authority *authority
	mail      *mailServer
	push      *pushService
	fcm       *pushtest.FCM  // the account of idlepush there
	apns      *pushtest.APNs // the same
	end       context.CancelFunc
}

// The parents of the folders. The second has no disk behind it.
const (
	onDisk   = "/var/tmp"
	inMemory = "/dev/shm"
)

// newLab builds idlepush and starts the servers. The caller calls close, which ends all.
func newLab(ctx context.Context, o options) (l *lab, err error) {
	ctx, end := context.WithCancel(ctx)
	l = &lab{options: o, end: end}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if err := raiseFiles(); err != nil {
		return l, err
	}
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o777); err != nil {
			return l, err
		}
	}
	if l.disk, err = os.MkdirTemp(onDisk, "loadtest"); err != nil {
		return l, err
	}
	if l.memory, err = os.MkdirTemp(inMemory, "loadtest"); err != nil {
		return l, err
	}
	if l.program, err = buildDaemon(l.memory, true); err != nil {
		return l, err
	}
	if l.authority, err = newAuthority(filepath.Join(l.memory, "roots.pem")); err != nil {
		return l, err
	}
	if l.mail, err = serveMail(ctx, l.authority.config()); err != nil {
		return l, err
	}
	if l.push, err = servePush(ctx, l.authority.config()); err != nil {
		return l, err
	}
	if l.fcm, err = pushtest.NewFCM(fcmProject); err != nil {
		return l, err
	}
	l.apns, err = pushtest.NewAPNs("org.example.mail")
	return l, err
}

func (l *lab) close() {
	l.end()
	if l.mail != nil {
		l.mail.serving.Wait()
	}
	if l.push != nil {
		l.push.serving.Wait()
	}
	os.RemoveAll(l.disk)
	os.RemoveAll(l.memory)
}

// measure measures one row.
func (l *lab) measure(ctx context.Context, name string, row func(context.Context, *lab) ([]line, error)) ([]line, error) {
	ctx, cancel := context.WithTimeout(ctx, rowTime)
	defer cancel()
	fmt.Fprintln(os.Stderr, "loadtest: measuring", name)
	l.nameProfiles(name)
	return row(ctx, l)
}

// nameProfiles names the profiles of the processes that are started from now on.
func (l *lab) nameProfiles(name string) {
	if l.profiles != "" {
		l.profile = filepath.Join(l.profiles, name)
	}
}

// count returns how many of something a row measures: usual, unless a flag says something else.
func (l *lab) count(usual int) int {
	if l.size > 0 {
		return l.size
	}
	return usual
}

// wantedFiles is how many files a process of a load test may have open.
const wantedFiles = 65_536

// raiseFiles lets this process, and those that it starts, open many files.
func raiseFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	raised := syscall.Rlimit{Cur: max(limit.Max, wantedFiles), Max: max(limit.Max, wantedFiles)}
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised)
	if errors.Is(err, syscall.EPERM) { // only root raises the hard limit
		raised = syscall.Rlimit{Cur: limit.Max, Max: limit.Max}
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised)
	}
	if err != nil {
		return fmt.Errorf("raise the number of files that may be open: %w", err)
	}
	return nil
}
