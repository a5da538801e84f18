//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that is measured.
type process struct {
	cmd      *exec.Cmd
	profiles string // path, without extension; empty: it makes none
}

// start starts a command with only env in its environment. It can make profiles at this path,
// unless it is empty.
func start(cmd *exec.Cmd, profile string, env ...string) (*process, error) {
	cmd.Env = append(env, probeVariable+"="+profile)
	return &process{cmd, profile}, cmd.Start()
}

// stop ends the program, and waits for its end.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := p.cmd.Wait()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
		return nil
	}
	return err
}

// cpu returns the CPU time that it has used.
func (p *process) cpu() (time.Duration, error) {
	const ofProcess = 2 // CPUCLOCK_SCHED of Linux
	var t unix.Timespec
	err := unix.ClockGettime(int32(^p.cmd.Process.Pid<<3|ofProcess), &t)
	return time.Duration(t.Nano()), err
}

// memory returns its share of the machine's memory, in bytes (Pss).
func (p *process) memory() (int64, error) { return p.sizeIn("smaps_rollup", "Pss:") }

// peak returns the most memory that it has had, in bytes.
func (p *process) peak() (int64, error) { return p.sizeIn("status", "VmHWM:") }

// sizeIn returns a size that a file of /proc tells in kilobytes, in bytes.
func (p *process) sizeIn(file, name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if size, ok := strings.CutPrefix(string(line), name); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in %s", name, text)
}

// rest waits until it uses almost no CPU time.
func (p *process) rest(ctx context.Context) error {
	const window = 300 * time.Millisecond
	for before := time.Duration(0); ; {
		now, err := p.cpu()
		if err != nil {
			return err
		}
		if before > 0 && now-before < window/50 {
			return nil
		}
		if before = now; !sleep(ctx, window) {
			return fmt.Errorf("it does not come to rest: %w", ctx.Err())
		}
	}
}

// settle has it return the memory that it does not need to the system.
func (p *process) settle(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	return p.rest(ctx)
}

// profile begins the profiles and returns what ends them.
func (p *process) profile(ctx context.Context) (end func() error, err error) {
	if p.profiles == "" {
		return func() error { return nil }, nil
	}
	last := p.profiles + ".heap"
	if err := os.Remove(last); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return func() error {
		if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			return err
		}
		for {
			if _, err := os.Stat(last); err == nil {
				return nil
			}
			if !sleep(ctx, 10*time.Millisecond) {
				return fmt.Errorf("idlepush writes no profile %s: %w", last, ctx.Err())
			}
		}
	}, p.cmd.Process.Signal(syscall.SIGUSR2)
}
