package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"idlepush/cmd/idlepush/systemtest"
)

// terminal returns a terminal, and what types on it.
func terminal(t *testing.T) (screen, keyboard *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	systemtest.Must(t, err)
	t.Cleanup(func() { keyboard.Close() })
	systemtest.Must(t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	systemtest.Must(t, err)
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	systemtest.Must(t, err)
	t.Cleanup(func() { screen.Close() })
	return screen, keyboard
}

func TestPassphraseIsAskedTwiceOnATerminal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ typed, want, refusal string }{
		"twice the same":                    {"correct horse\ncorrect horse\n", "correct horse", ""},
		"a slip":                            {"correct horse\ncorrect house\n", "", "the two passphrases differ"},
		"too short":                         {"horse\n", "", "at least 10 characters"},
		"too short, though it has 10 bytes": {"äöüßé\n", "", "at least 10 characters"},
		"with a space at its end":           {"correct horse \n", "", "begin or end with a space"},
	} {
		screen, keyboard := terminal(t)
		_, err := keyboard.WriteString(c.typed)
		systemtest.Must(t, err)
		var asks bytes.Buffer
		got, err := askPassphrase(t.Context(), screen, &asks)
		switch {
		case c.refusal == "" && (err != nil || got != c.want):
			t.Errorf("%s: %q, %v", name, got, err)
		case c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)):
			t.Errorf("%s: %v", name, err)
		case c.refusal == "" && strings.Count(asks.String(), "passphrase") != 2:
			t.Errorf("%s: it asks %q", name, &asks)
		}
	}
	got, err := askPassphrase(t.Context(), strings.NewReader("correct horse\n"), new(bytes.Buffer))
	if err != nil || got != "correct horse" {
		t.Errorf("from a pipe: %q, %v", got, err)
	}
}
