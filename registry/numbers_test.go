package registry

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

func TestDocs(t *testing.T) {
	t.Parallel()
	t.Run("the numbers in the documents are true", docsNumbers)
	t.Run("the documents name every table", docsTables)
	t.Run("the documents explain every word of the API", docsWords)
}

// docsNumbers: the words are there, and the numbers are those of the words.
func docsNumbers(t *testing.T) {
	t.Parallel()
	const hour, day = time.Hour, 24 * time.Hour
	text := make(map[string]string)
	for _, promise := range []struct {
		file, words string
		is, want    any
	}{
		{"README.md", "is sent again under the same id, for three days", idlepush.KindMail.Lifetime(), 3 * day},
		{"README.md", "is sent again under the same id, for three days", idlepush.KindSummary.Lifetime(), 3 * day},
		{"docs/apps.md", "remember the ids of the last three days", idlepush.KindMail.Lifetime(), 3 * day},
		{"docs/apps.md", "keep the old private key and `auth` for three more days", idlepush.KindMail.Lifetime(), 3 * day},
		{"docs/phones.md", "\"Stay signed in\" lasts for 90 days without use", stayIdle, 90 * day},
		{"docs/phones.md", "and a year at most", StayLifetime, 365 * day},
		{"docs/phones.md", "a session ends after 12 hours without use", sessionIdle, 12 * hour},
		{"docs/api.md", "by which that person chooses a new one, once, within 24 hours", InviteForPassword.Lifetime(), day},
		{"docs/install.md", "It works once, within 24 hours", InviteForPassword.Lifetime(), day},
		{"docs/security.md", "it ends when it is used, after 24 hours", InviteForPassword.Lifetime(), day},
		{"docs/codes.md", "a link by which a new password can be chosen for you, within 24 hours", InviteForPassword.Lifetime(), day},
		{"docs/api.md", "told of the link (`password_link`), for two minutes at most", tellingTime, 2 * time.Minute},
		{"docs/security.md", "only once they were told, or after two minutes", tellingTime, 2 * time.Minute},
		{"docs/codes.md", "it takes two minutes at most", tellingTime, 2 * time.Minute},
		{"docs/behaviour.md", "told to all devices, at most once in 10 minutes", givenTime, 10 * time.Minute},
		{"docs/security.md", "at the highest level that any device gets or fetches, for 7 days", maxAge, 7 * day},
		{"docs/behaviour.md", "and again a week later at the earliest", maxAge, 7 * day},
		{"docs/behaviour.md", "is not heard again for 7 days", askAgain, 7 * day},
		{"docs/security.md", "declines or leaves is offered nothing by that owner for 7 days", askAgain, 7 * day},
		{"docs/api.md", "can be offered nothing by its owner for 7 days", askAgain, 7 * day},
		{"docs/behaviour.md", "| history of notifications and deliveries | 7 days |", maxAge, 7 * day},
		{"docs/behaviour.md", "| `mail` and `summary` wait for a device | 3 days |", idlepush.KindMail.Lifetime(), 3 * day},
		{"docs/behaviour.md", "| `mail` and `summary` wait for a device | 3 days |", idlepush.KindSummary.Lifetime(), 3 * day},
		{"docs/behaviour.md", "| mail that did not ring | 7 days, and of each account the last 200 |", maxNotRung, 200},
		{"docs/behaviour.md", "as digests of addresses | until the mailbox is removed, of each mailbox the last 20,000 |", maxSenders, 20_000},
		{"docs/security.md", "a digest of each address with the key, of the last 20,000 |", maxSenders, 20_000},
		{"docs/architecture.md", "when somebody wrote last, of the last 20,000 senders", maxSenders, 20_000},
		{"docs/architecture.md", "what the wishes of 256 people and mailboxes say", maxOpened, 256},
		{"docs/security.md", "sealed likewise, whatever the devices get, for 7 days", maxAge, 7 * day},
		{"docs/behaviour.md", "| mail that rang | 7 days, and of each mailbox the first 2000 of a day |", maxDaily, 2000},
		{"docs/architecture.md", "takes what were the first eight of a subqueue when it began for shown", maxTogether, 8},
		{"docs/behaviour.md", "2000 mails are kept one by one in a day of 24 hours, which begins with the first of them", maxDaily, 2000},
		{"docs/behaviour.md", "2000 mails are kept one by one in a day of 24 hours, which begins with the first of them", dayLength, day},
		{"docs/codes.md", "mails came to this mailbox in 24 hours", dayLength, day},
		{"docs/api.md", "or after the 2000 of a day that are kept one by one", maxDaily, 2000},
		{"docs/api.md", "the mail after [the first 2000 of a day]", maxDaily, 2000},
		{"docs/behaviour.md", "| `clear` waits | 1 day |", idlepush.KindClear.Lifetime(), day},
		{"docs/behaviour.md", "| `attention` waits | 7 days |", idlepush.KindAttention.Lifetime(), 7 * day},
		{"docs/behaviour.md", "| `heartbeat` waits | 1 day |", idlepush.Kind(ring.KindHeartbeat).Lifetime(), day},
		{"docs/behaviour.md", "| `test` waits | 1 minute |", idlepush.KindTest.Lifetime(), time.Minute},
		{"docs/behaviour.md", "50 devices, 50 mailboxes of their own, 50 tokens and 20 open invites.", defaultBounds, bounds{50, 50, 50, 20, 2000}},
		{"docs/api.md", "One person can have 50 devices, 50 mailboxes, 50 tokens and 20 open invites.", defaultBounds, bounds{50, 50, 50, 20, 2000}},
		{"docs/behaviour.md", "One can have 20 passkeys.", maxPasskeys, 20},
		{"docs/api.md", "One can have 20 passkeys.", maxPasskeys, 20},
		{"docs/security.md", "The last 20 browsers of a person are remembered", maxBrowsers, 20},
		{"docs/behaviour.md", "one person can have 150 sessions and tokens together", maxLogins, 150},
		{"docs/behaviour.md", "it has failed 20 times over 3 days", failingTries, 20},
		{"docs/behaviour.md", "it has failed 20 times over 3 days", failingFor, 3 * day},
		{"docs/settings.md", "seals secrets: 32 bytes in base64", table.KeySize, 32},
		{"docs/security.md", "sealed: AES-256-GCM", 8 * table.KeySize, 256},
		{"docs/apps.md", "| `id` | wake | 32 characters", len(StableID("account", "INBOX", 1, 1)), 32},
		{"docs/apps.md", "| `id` | wake | 32 characters", len(stableID("summary", "device")), 32},
		{"docs/architecture.md", "the id of a notification: 32 characters", len(StableID("account", "INBOX", 1, 1)), 32},
		{"docs/apps.md", "the text follows if it can be had within three days", idlepush.KindMail.Lifetime(), 3 * day},
		{"docs/apps.md", "ids to take away, of mail that was read or removed elsewhere, up to 50", maxCleared, 50},
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

// docsTables: docs/architecture.md has a row for each table, and none for others.
func docsTables(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rows, _ := strings.Cut(string(data), "| table | key | row |\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	var told, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)` ").FindAllStringSubmatch(rows, -1) {
		told = append(told, m[1])
	}
	for _, t := range tables {
		if !strings.Contains(t.Name(), "/") { // else it is an index
			want = append(want, t.Name())
		}
	}
	if slices.Sort(want); !slices.Equal(slices.Sorted(slices.Values(told)), want) {
		t.Errorf("docs/architecture.md has the tables %q, the store has %q", told, want)
	}
}

// docsWords holds the pages to the states, kinds, levels and results of the store.
func docsWords(t *testing.T) {
	t.Parallel()
	for page, words := range map[string][]string{
		"behaviour.md": {string(idlepush.StateNew), string(idlepush.StateWatching), string(idlepush.StatePolling), string(idlepush.StateRetrying), string(idlepush.StateAttention), string(idlepush.StateSuspect),
			string(idlepush.KindMail), string(idlepush.KindSummary), string(idlepush.KindClear), string(idlepush.KindAttention), string(idlepush.KindTest), string(ResultDelivered),
			string(ResultRetry), string(ResultGone), string(ResultRefused), string(ResultMisconfigured)},
		"phones.md": {string(idlepush.LevelWake), string(idlepush.LevelSender), string(idlepush.LevelSubject), string(idlepush.LevelPreview)},
		"api.md": {string(idlepush.KindMail), string(idlepush.KindSummary), string(idlepush.KindClear), string(idlepush.KindAttention), string(idlepush.KindTest), string(idlepush.LevelWake),
			string(idlepush.LevelSender), string(idlepush.LevelSubject), string(idlepush.LevelPreview), string(idlepush.StateUnproven), string(idlepush.SecurityTLS), string(idlepush.SecurityStartTLS), string(idlepush.SecurityPlain)},
		"architecture.md": {string(FCM), string(APNs), string(WebPush), string(UnifiedPush)},
	} {
		data, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if !strings.Contains(string(data), "`"+word+"`") {
				t.Errorf("docs/%s does not explain %q", page, word)
			}
		}
	}
}
