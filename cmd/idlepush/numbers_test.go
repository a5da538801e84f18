package main

import (
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"idlepush"
)

// nothing is an environment without variables.
func nothing(string) string { return "" }

func TestNumbersOfTheDocs(t *testing.T) {
	t.Parallel()
	t.Run("the table of settings", docsSettingsTable)
	t.Run("defaults and versions", docsDefaults)
	t.Run("bounds of settings", docsBounds)
}

func docsSettingsTable(t *testing.T) {
	t.Parallel()
	var told []setting
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)`( \\(secret\\))? \\| ([^|]+) \\| [^|]+ \\|$").FindAllStringSubmatch(read(t, "docs/settings.md"), -1) {
		s := setting{name: row[1], secret: row[2] != ""}
		if literal := regexp.MustCompile("^`([^`]+)`$").FindStringSubmatch(row[3]); literal != nil {
			s.value = literal[1]
		}
		told = append(told, s)
	}
	var want []setting
	for _, s := range table() {
		want = append(want, setting{name: s.name, value: s.value, secret: s.secret})
	}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("docs/settings.md tells of\n%+v\nand the program knows\n%+v", told, want)
	}
}

func docsDefaults(t *testing.T) {
	t.Parallel()
	s, err := parse("serve", nil, nothing, io.Discard)
	if want := (settings{listen: "127.0.0.1:8080", data: "./data", burstLimit: 5, backups: backupSettings{keep: 7}}); err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("without any setting: %+v, %v", s, err)
	}
	for _, c := range []struct{ page, words, where, holds string }{
		{"README.md", "You need Go 1.26 or later.", "go.mod", "\ngo 1.26"},
		{"docs/install.md", "You need Go 1.26 or later.", "cmd/idlepush/Dockerfile", "FROM golang:1.26 "},
		{"docs/install.md", "go build -o idlepush -trimpath -tags grpcnotrace -ldflags=\"-s -w\" ./cmd/idlepush", "cmd/idlepush/Dockerfile", " go build -trimpath -tags grpcnotrace -ldflags=\"-s -w\" "},
		{"README.md", "served on `http://127.0.0.1:8080`", "docker-compose.yml", "127.0.0.1:8080:8080"},
		{"docs/install.md", "serves on `http://127.0.0.1:8080`", "docker-compose.yml", "127.0.0.1:8080:8080"},
		{"docs/settings.md", "At least 20 characters", "cmd/idlepush/settings.go", "want at least 20 characters"},
		{"docs/settings.md", "0 to 100; `0` is no limit", "cmd/idlepush/settings.go", "maxBurst = 100"},
		{"docs/architecture.md", "the program ends within 10 s", "cmd/idlepush/serve.go", "8*time.Second"},
		{"docs/install.md", "The path of a Unix socket may have 103 bytes", "cmd/idlepush/socket.go", "maxSocketPath = 103"},
		{"docs/install.md", "sent no sign of life for 5 minutes", "deploy/systemd/idlepush.service", "WatchdogSec=5min"},
		{"docs/doctor.md", "all end within 20 s", "cmd/idlepush/installation.go", "partWait = 20 * time.Second"},
		{"docs/doctor.md", "it then waits in IDLE for 5 minutes", "cmd/idlepush/doctormailbox.go", "sentWait = 5 * time.Minute"},
		{"docs/operate.md", "no answer for 2 minutes", "deploy/prometheus/idlepush.rules.yml", "== 0\n        for: 2m"},
		{"docs/operate.md", "mailboxes or queues for 3 minutes", "deploy/prometheus/idlepush.rules.yml", "idlepush_loop_age_seconds > 180"},
		{"docs/operate.md", "less than 200 MB are free", "deploy/prometheus/idlepush.rules.yml", "idlepush_data_free_bytes < 200e6"},
		{"docs/operate.md", "and `push_service_down`, after an hour, to people", "promise/promise.go", "TellAfter = time.Hour"},
		{"docs/behaviour.md", "a push service has accepted no pushes for an hour", "promise/promise.go", "TellAfter = time.Hour"},
		{"docs/operate.md", "tries a small one every 20 seconds", "cmd/idlepush/alive.go", "aliveLook    = 20 * time.Second"},
		{"docs/operate.md", "has room for less than 50 MB", "cmd/idlepush/room.go", "lowRoom     = 50 << 20"},
		{"docs/operate.md", "until it has room for 100 MB again", "cmd/idlepush/room.go", "lowRoomEnds = 100 << 20"},
		{"docs/operate.md", "lost their servers for 10 minutes", "deploy/prometheus/idlepush.rules.yml", "retrying\"})\n        for: 10m"},
		{"docs/operate.md", "lost its server for half an hour", "deploy/prometheus/idlepush.rules.yml", "idlepush_mailboxes{state=\"retrying\"} > 0\n        for: 30m"},
		{"docs/operate.md", "waited for more than a quarter of an hour", "deploy/prometheus/idlepush.rules.yml", "idlepush_queue_oldest_seconds > 900"},
		{"docs/operate.md", "rings more than 10 seconds after it was found", "deploy/prometheus/idlepush.rules.yml", "[30m]))) > 10"},
		{"docs/operate.md", "this counts once it has been so for 5 minutes", "promise/promise.go", "Patience = 5 * time.Minute"},
		{"docs/operate.md", "a period of 1 minute, and a grace of 5 minutes", "cmd/idlepush/alive.go", "aliveEvery   = time.Minute"},
		{"docs/operate.md", "The first call comes a minute after the start", "cmd/idlepush/alive.go", "aliveEvery   = time.Minute"},
		{"docs/operate.md", "If the address does not answer within 10 seconds with 2xx", "cmd/idlepush/alive.go", "aliveTimeout = 10 * time.Second"},
		{"docs/operate.md", "looks at all of it every 20 seconds", "cmd/idlepush/alive.go", "aliveLook    = 20 * time.Second"},
		{"README.md", "`idlepush selftest` tries in less than a minute", "cmd/idlepush/selftest.go", "This takes less than a minute"},
		{"docs/operate.md", "This tries, in less than a minute", "cmd/idlepush/selftest.go", "This takes less than a minute"},
		{"docs/operate.md", "a push service wants no push for 3 s", "cmd/idlepush/selftesthardships.go", "const wait = 3 * time.Second"},
		{"docs/operate.md", "the clock is set 8 hours back", "cmd/idlepush/selftesthardships.go", "const jump = 8 * time.Hour"},
		{"docs/operate.md", "nothing can be written, twice for 3 s", "cmd/idlepush/selftesthardships.go", "time.NewTimer(3 * time.Second)"},
		{"docs/operate.md", "after which an IDLE is renewed is 3 s", "cmd/idlepush/selftesthardships.go", "shortInterval = 3 * time.Second"},
		{"docs/operate.md", "the minute for which pushes pause after a refused key", "push/breaker.go", "faultPauses = []time.Duration{time.Minute,"},
		{"docs/operate.md", "has left 3 pushes unanswered for a day", "receipt/receipt.go", "unconfirmedPushes = 3"},
		{"docs/operate.md", "| mail server | `mailbox_down` | 6 minutes | `IdlepushMailboxesLost` or `IdlepushMailboxLost` | 16 minutes |", "cmd/idlepush/kill_test.go", "{\"mail server\", \"mailbox_down\", 6 * time.Minute, lostAlerts, 16 * time.Minute,"},
		{"docs/operate.md", "| network | `mailbox_down` | 16 minutes | `IdlepushMailboxesLost` or `IdlepushMailboxLost` | 16 minutes |", "cmd/idlepush/kill_test.go", "{\"network\", \"mailbox_down\", 16 * time.Minute, lostAlerts, 16 * time.Minute,"},
		{"docs/operate.md", "| push service | `push_service_down` | 6 minutes | `IdlepushPushServicePaused` | 16 minutes |", "cmd/idlepush/kill_test.go", "\"push_service_down\", 6 * time.Minute, \"`IdlepushPushServicePaused`\", 16 * time.Minute,"},
		{"docs/operate.md", "| reports of a phone | `device_unconfirmed` | 25 hours | `IdlepushPromiseBroken` | 1 minute |", "cmd/idlepush/kill_test.go", "\"device_unconfirmed\", 25 * time.Hour, \"`IdlepushPromiseBroken`\", time.Minute,"},
		{"docs/operate.md", "| disk | `store_down` | 1 minute | `IdlepushStoreFails` | 6 minutes |", "cmd/idlepush/kill_test.go", "\"store_down\", time.Minute, \"`IdlepushStoreFails`\", 6 * time.Minute,"},
		{"docs/operate.md", "| room on the disk | `disk_low` | 1 minute | `IdlepushDiskFull`, earlier | 1 minute |", "cmd/idlepush/kill_test.go", "\"disk_low\", time.Minute, \"`IdlepushDiskFull`, earlier\", time.Minute,"},
		{"docs/operate.md", "| loops of the program | `program_stuck` | 6 minutes | `IdlepushStuck` | 1 minute |", "cmd/idlepush/kill_test.go", "\"program_stuck\", 6 * time.Minute, \"`IdlepushStuck`\", time.Minute,"},
		{"docs/operate.md", "| program | none | 1 minute | `IdlepushDown` | 2 minutes |", "cmd/idlepush/kill_test.go", "{\"program\", \"\", time.Minute, \"`IdlepushDown`\", 2 * time.Minute,"},
		{"docs/operate.md", "the usual one of 9 minutes", "watcher/keepalive.go", "usualInterval    = 9 * time.Minute"},
		{"docs/operate.md", "A mail server is tried again at least every 15 minutes", "watcher/supervise.go", "maxRetryWait   = 15 * time.Minute"},
		{"docs/codes.md", "| `heartbeat` | Mail that rang in the last 7 days", "push/heartbeat.go", "counts = 7"},
		{"docs/install.md", "it does not answer within 5 s", "cmd/idlepush/healthcheck.go", "healthWait = 5 * time.Second"},
		{"docs/install.md", "The image uses it", "cmd/idlepush/Dockerfile", `CMD ["/idlepush", "healthcheck"]`},
		{"docs/settings.md", "by default backups are without the key. At least 10 characters", "cmd/idlepush/backup.go", "minPassphrase = 10"},
		{"docs/settings.md", "how many of the daily backups are kept: 1 to 366", "cmd/idlepush/settings.go", "maxKeep = 366"},
		{"docs/operate.md", "idlepush first looks at all mailboxes, for a minute at most", "cmd/idlepush/restored.go", "looksWait = time.Minute"},
		{"docs/operate.md", "the passphrase of at least 10 characters", "cmd/idlepush/backup.go", "minPassphrase = 10"},
		{"docs/operate.md", "It keeps the last 7 backups, or as many as `backup-keep` says", "cmd/idlepush/settings.go", `"backup-keep", "7"`},
		{"docs/operate.md", "idlepush tries again every hour", "registry/backup/daily.go", "retry = time.Hour"},
		{"README.md", "go test ./...", ".ci/test", "--packages=./..."},
	} {
		if !strings.Contains(read(t, c.page), c.words) || !strings.Contains(read(t, c.where), c.holds) {
			t.Errorf("%s says %q, %s has %q: one of them is not so", c.page, c.words, c.where, c.holds)
		}
	}
}

func docsBounds(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]settings{
		"--burst-limit=100":                  {burstLimit: 100},
		"--admin-token=12345678901234567890": {adminToken: idlepush.Secret("12345678901234567890"), burstLimit: 5},
		"--backup-keep=366":                  {burstLimit: 5},
		"--backup-passphrase=1234567890":     {burstLimit: 5},
		"--listen=:65535":                    {listen: ":65535", burstLimit: 5},
	} {
		s, err := parse("serve", []string{flag}, nothing, io.Discard)
		if err != nil || s.burstLimit != want.burstLimit || s.adminToken != want.adminToken || want.listen != "" && s.listen != want.listen {
			t.Errorf("%s: %+v, %v", flag, s, err)
		}
	}
	for _, flag := range []string{"--burst-limit=101", "--backup-keep=0", "--backup-keep=367", "--backup-passphrase=123456789", "--admin-token=1234567890123456789", "--listen=:65536"} {
		if _, err := parse("serve", []string{flag}, nothing, io.Discard); err == nil {
			t.Errorf("%s is taken", flag)
		}
	}
}
