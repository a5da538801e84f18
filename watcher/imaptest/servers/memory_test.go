package servers

import (
	"errors"
	"maps"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// It is reached in three ways, and APPEND is reported in IDLE.
func TestMemory(t *testing.T) {
	t.Parallel()
	m := Memory(t)
	m.CreateFolder(t, "Lists")
	news := make(chan uint32, 16)
	client := dial(t, m.Endpoint, "tls", m.User, m.Password, news)
	examine(t, client, "INBOX")
	idle, err := client.Idle()
	if err != nil {
		t.Fatal(err)
	}
	if uid := m.Append(t, "INBOX", []byte(letter), imap.FlagFlagged); uid != 1 {
		t.Errorf("UID %d", uid)
	}
	awaitExists(t, news, 1)
	if err := errors.Join(idle.Close(), idle.Wait()); err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"plain", "starttls", "tls"} {
		if got := subjects(t, dial(t, m.Endpoint, way, m.User, m.Password, nil), "INBOX"); !maps.Equal(got, map[imap.UID]string{1: "tea"}) {
			t.Errorf("%s: %v", way, got)
		}
	}
}
