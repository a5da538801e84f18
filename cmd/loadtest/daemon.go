//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// buildDaemon builds idlepush of this checkout into dir as the Dockerfile does. With the probe, it
// obeys the signals of probe.go.
func buildDaemon(dir string, probed bool) (path string, err error) {
	path = filepath.Join(dir, "idlepush")
	args := []string{"build", "-trimpath", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", path}
	if probed {
		overlay := filepath.Join(dir, "overlay.json")
		if err := writeOverlay(overlay); err != nil {
			return "", err
		}
		args = append(args, "-overlay="+overlay)
	}
	cmd := exec.Command("go", append(args, "idlepush/cmd/idlepush")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build idlepush: %w\n%s", err, out)
	}
	return path, nil
}

// writeOverlay writes the file that adds the probe to the program, for go build.
func writeOverlay(file string) error {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "idlepush/cmd/idlepush", "idlepush/cmd/loadtest").Output()
	if err != nil {
		return fmt.Errorf("find the source of idlepush, of which this must be called in the checkout: %w", err)
	}
	dirs := strings.Fields(string(out))
	text, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(dirs[0], "probe.go"): filepath.Join(dirs[1], "probe.go")}})
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// daemon is idlepush as a process.
type daemon struct {
	*process
	data   string // its folder
	origin string // of its API
	began  time.Time
	took   time.Duration // from then until it was ready
	people people
}

// stop ends idlepush and removes its data folder. What fails then is of no interest.
func (d *daemon) stop() {
	if d.process != nil {
		d.process.stop()
	}
	os.RemoveAll(d.data)
}

// adminToken is the setting admin-token.
const adminToken = "a token for the load test"

// settings returns the environment of idlepush.
func (l *lab) settings(data, address string, services bool) []string {
	env := []string{"SSL_CERT_FILE=" + l.authority.file, "IDLEPUSH_LISTEN=" + address, "IDLEPUSH_DATA=" + data, "IDLEPUSH_BURST_LIMIT=0",
		"IDLEPUSH_ALLOW_MAIL=127.0.0.0/8:*", "IDLEPUSH_ALLOW_PUSH=" + l.push.address, "IDLEPUSH_PUBLIC_URL=https://push.example.org", "IDLEPUSH_ADMIN_TOKEN=" + adminToken}
	if !services {
		return env
	}
	origin := "https://" + l.push.address
	return append(env, "IDLEPUSH_FCM_CREDENTIALS="+string(l.fcm.Credentials(origin)), "IDLEPUSH_FCM_ENDPOINT="+origin+"/v1",
		"IDLEPUSH_APNS_KEY="+string(l.apns.Key), "IDLEPUSH_APNS_KEY_ID="+l.apns.KeyID, "IDLEPUSH_APNS_TEAM_ID="+l.apns.TeamID,
		"IDLEPUSH_APNS_TOPIC="+l.apns.Topic, "IDLEPUSH_APNS_ENDPOINT="+origin)
}

// startDaemon makes a data folder in dir, plants the household there, starts idlepush on it and
// waits until it is ready. services: FCM and APNs are configured. The log is in the data folder.
func (l *lab) startDaemon(ctx context.Context, dir string, h household, services bool) (d *daemon, err error) {
	d = new(daemon)
	defer func() {
		if err != nil {
			d.stop()
		}
	}()
	if d.data, err = os.MkdirTemp(dir, "data"); err != nil {
		return d, err
	}
	if d.people, err = l.plant(d.data, h); err != nil {
		return d, err
	}
	address, err := freeAddress()
	if err != nil {
		return d, err
	}
	log, err := os.Create(filepath.Join(d.data, "log"))
	if err != nil {
		return d, err
	}
	defer log.Close()
	cmd := exec.Command(l.program, "serve")
	cmd.Stderr = log
	d.origin, d.began = "http://"+address, time.Now()
	if d.process, err = start(cmd, l.profile, l.settings(d.data, address, services)...); err != nil {
		return d, err
	}
	for !d.ready(ctx) {
		if !sleep(ctx, time.Millisecond) {
			said, _ := os.ReadFile(log.Name())
			return d, fmt.Errorf("idlepush does not become ready: %w\n%s", ctx.Err(), bytes.TrimSpace(said))
		}
	}
	d.took = time.Since(d.began)
	return d, nil
}

func (d *daemon) ready(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.origin+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
