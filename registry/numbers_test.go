package registry

import (
	"idlepush/registry/table"
	"os"
	"strings"
	"testing"
	"time"
)

// TestWhatTheDocumentsPromiseIsSo: the words are there, and the numbers are those of the words.
func TestWhatTheDocumentsPromiseIsSo(t *testing.T) {
	t.Parallel()
	const hour, day = time.Hour, 24 * time.Hour
	text := make(map[string]string)
	for _, promise := range []struct {
		file, words string
		is, want    any
	}{
		{"README.md", "is sent again under the same id, for three days", MailKind.Lifetime(), 3 * day},
		{"README.md", "is sent again under the same id, for three days", SummaryKind.Lifetime(), 3 * day},
		{"docs/apps.md", "remember the ids of the last three days", MailKind.Lifetime(), 3 * day},
		{"docs/apps.md", "keep the old private key and `auth` for three more days", MailKind.Lifetime(), 3 * day},
		{"README.md", "\"Stay signed in\" lasts for 90 days without use", StayIdle, 90 * day},
		{"README.md", "and a year at most", StayLifetime, 365 * day},
		{"README.md", "a session ends after 12 hours without use", SessionIdle, 12 * hour},
		{"README.md", "at the highest level that a device gets or fetches, for 7 days", Kept, 7 * day},
		{"README.md", "seals secrets: 32 bytes in base64", table.KeySize, 32},
		{"README.md", "sealed: AES-256-GCM", 8 * table.KeySize, 256},
		{"docs/apps.md", "| `id` | wake | 32 characters", len(StableID("account", "INBOX", 1, 1)), 32},
		{"docs/apps.md", "| `id` | wake | 32 characters", len(stableID("summary", "device")), 32},
		{"docs/apps.md", "ids to take away, of mail that was read or removed elsewhere, up to 50", mostCleared, 50},
	} {
		if text[promise.file] == "" {
			data, err := os.ReadFile("../" + promise.file)
			if err != nil {
				t.Fatal(err)
			}
			text[promise.file] = strings.Join(strings.Fields(string(data)), " ")
		}
		if !strings.Contains(text[promise.file], promise.words) {
			t.Errorf("%s does not say %q", promise.file, promise.words)
		}
		if promise.is != promise.want {
			t.Errorf("%s says %q, which is %v, but it is %v", promise.file, promise.words, promise.want, promise.is)
		}
	}
}
