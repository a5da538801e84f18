package registrytest

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"
	"testing/synctest"
)

// TestOpenInBubble opens stores in synctest bubbles while other processes are started.
func TestOpenInBubble(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var starting sync.WaitGroup
	for range 8 {
		starting.Go(func() {
			for ctx.Err() == nil {
				if err := exec.Command(self, "-test.run=^$").Run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			dir, _, _ := DirWithUsers(t)
			for range 3 {
				if err := Open(t, dir).Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	cancel()
	starting.Wait()
}
