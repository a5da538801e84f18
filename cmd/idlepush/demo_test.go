package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines is a writer that tests can read while it is written to.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestTheDemoShowsTheWholeLineWithinFiveSeconds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out := new(lines)
	var running sync.WaitGroup
	began := time.Now()
	running.Go(func() {
		if err := demo(ctx, out); err != nil {
			t.Errorf("the demo ended with %v", err)
		}
	})
	shown := func() bool {
		text := out.String()
		for _, want := range []string{"mail from Berta Baum: Lunch? (1)", "fcm          Pixel", "apns         iPhone", "webpush      Firefox", "unifiedpush  Fairphone", " ms  "} {
			if !strings.Contains(text, want) {
				return false
			}
		}
		return true
	}
	eventually(t, "a mail and a push to each phone are printed", shown)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	stop()
	running.Wait()
	text := out.String()
	for line := range strings.Lines(text) {
		if strings.Contains(line, "Fairphone") && strings.Contains(line, "Lunch") {
			t.Errorf("a phone that may know the sender only shows %q", line)
		}
	}
}

func TestADemoThatFailsSaysWhy(t *testing.T) {
	d, err := newDemo(new(lines))
	if err != nil {
		t.Fatal(err)
	}
	d.mailAt.Close()
	if err := d.run(t.Context(), t.TempDir()); err == nil {
		t.Error("the mail server cannot be served, and the demo ends as if all were well")
	}
}
