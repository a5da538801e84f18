package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

// scrape returns the answer of GET /metrics at an origin, with a token unless it is empty.
func scrape(ctx context.Context, t *testing.T, origin, token string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/metrics", nil)
	systemtest.Must(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	systemtest.Must(t, err)
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	systemtest.Must(t, err)
	return answer.StatusCode, string(all)
}

// sample matches a line of the answer: a metric with its labels, and a value.
var sample = regexp.MustCompile(`(?m)^([a-z_]+(?:\{.*\})?) ([0-9.e+-]+)$`)

// samples returns the values of an answer.
func samples(body string) map[string]float64 {
	all := make(map[string]float64)
	for _, m := range sample.FindAllStringSubmatch(body, -1) {
		all[m[1]], _ = strconv.ParseFloat(m[2], 64)
	}
	return all
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	const admin = "an-admin-token-of-the-metrics"
	open := net.JoinHostPort("127.0.0.1", strconv.Itoa(testenv.Port(t)))
	s := systemtest.New(t, itself(t))
	s.More = []string{"IDLEPUSH_ADMIN_TOKEN=" + admin, "IDLEPUSH_METRICS_LISTEN=" + open}
	s.Start(t)
	s.Populate(t)
	ctx := testenv.Context(t)
	s.Deliver(t, "planted-subject")
	for _, wait := range []func() error{
		func() error { _, err := s.FCM.Wait(ctx, 2); return err },
		func() error { _, err := s.APNs.Wait(ctx, 2); return err },
		func() error { _, err := s.Web.Wait(ctx, 4); return err },
	} {
		systemtest.Must(t, wait())
	}

	pushed, err := s.FCM.Wait(ctx, 1)
	systemtest.Must(t, err)
	var p struct{ Receipt string }
	systemtest.Must(t, json.Unmarshal(pushed[len(pushed)-1].Payload, &p))
	now := time.Now()
	systemtest.Must(t, s.Client.Post(ctx, strings.TrimPrefix(p.Receipt, "/api/v1"), map[string]any{"received": now, "now": now}, nil))

	// shows waits until the metrics have these values.
	shows := func(t *testing.T, what string, want map[string]float64) {
		t.Helper()
		testenv.Await(t, what, func() error {
			_, body := scrape(ctx, t, "http://"+open, "")
			got := samples(body)
			for name, v := range want {
				if is, found := got[name]; !found || is != v {
					return fmt.Errorf("%s is %v, want %v", name, is, v)
				}
			}
			return nil
		})
	}
	t.Run("say what happened", func(t *testing.T) {
		shows(t, "the outcomes are counted", map[string]float64{
			`idlepush_mailboxes{state="watching"}`:    1,
			`idlepush_mailboxes{state="attention"}`:   0,
			`idlepush_sessions`:                       1,
			`idlepush_store_ready`:                    1,
			`idlepush_queue_deliveries{held="false"}`: 0,
			`idlepush_queue_oldest_seconds`:           0,
			`idlepush_pushes_total{outcome="delivered",service="other",transport="webpush"}`:     1,
			`idlepush_pushes_total{outcome="delivered",service="other",transport="unifiedpush"}`: 1,
			`idlepush_mail_to_push_seconds_count{transport="fcm"}`:                               1,
			`idlepush_mail_to_push_seconds_count{transport="apns"}`:                              1,
			`idlepush_push_to_receipt_seconds_count{transport="fcm"}`:                            1,
			`idlepush_devices{state="proven",transport="fcm"}`:                                   1,
		})
		_, body := scrape(ctx, t, "http://"+open, "")
		if got := samples(body); got["idlepush_store_commit_seconds_count"] < 3 || got["idlepush_data_free_bytes"] == 0 {
			t.Errorf("commits %v, free %v", got["idlepush_store_commit_seconds_count"], got["idlepush_data_free_bytes"])
		}
		for _, secret := range []string{"planted", "Planted", "anna", "Anna", "Pixel", "example.org", "localhost"} {
			if strings.Contains(body, secret) {
				t.Errorf("the metrics say %q", secret)
			}
		}
	})
	t.Run("are for admins", func(t *testing.T) {
		for token, want := range map[string]int{"": 401, "wrong": 401, admin: 200, s.Client.Token: 200} {
			if status, body := scrape(ctx, t, s.Origin, token); status != want || want != 200 && !strings.Contains(body, `"code"`) {
				t.Errorf("with the token %q: %d %s, want %d", token, status, body, want)
			}
		}
	})
	t.Run("bear a thousand at once", func(t *testing.T) {
		var asking sync.WaitGroup
		got := make(chan int, 1000)
		for range cap(got) {
			asking.Go(func() {
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+open+"/metrics", nil)
				answer, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				got <- answer.StatusCode
			})
		}
		asking.Wait()
		close(got)
		statuses := make(map[int]int)
		for status := range got {
			statuses[status]++
		}
		if statuses[200] == 0 || statuses[200]+statuses[503] != 1000 {
			t.Errorf("the answers were %v", statuses)
		}
	})
	t.Run("tell that the mail server is gone", func(t *testing.T) {
		s.Mail.Stop(t)
		shows(t, "the mailbox is lost", map[string]float64{`idlepush_mailboxes{state="retrying"}`: 1, `idlepush_mailboxes{state="watching"}`: 0, `idlepush_sessions`: 0})
		_, body := scrape(ctx, t, "http://"+open, "")
		if !strings.Contains(body, `idlepush_session_ends_total{code="`) || !strings.Contains(body, `provider="other"`) {
			t.Error("no session has ended")
		}
	})
	s.Stop(t)
	s.CheckNoSecrets(t)
}

// metricName matches what is asked of Prometheus about idlepush.
var metricName = regexp.MustCompile(`\bidlepush_[a-z_]+`)

// TestMetricsThatAreAskedForExist checks the dashboard and the alerts against the metrics.
func TestMetricsThatAreAskedForExist(t *testing.T) {
	t.Parallel()
	declared := make(map[string]bool)
	for _, file := range []string{"metrics/metrics.go", "metrics/collector.go"} {
		text, err := os.ReadFile(file)
		systemtest.Must(t, err)
		for _, m := range regexp.MustCompile(`Name: "(idlepush_[a-z_]+)"|describe\("([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
			if declared[m[1]] = m[1] != ""; m[2] != "" {
				declared["idlepush_"+m[2]] = true
			}
		}
	}
	asked := make(map[string]bool)
	note := func(where, expr string) {
		for _, name := range metricName.FindAllString(expr, -1) {
			for _, of := range []string{"_bucket", "_count", "_sum"} {
				name = strings.TrimSuffix(name, of)
			}
			if asked[name] = true; !declared[name] {
				t.Errorf("%s asks for %s, which does not exist", where, name)
			}
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile(top + "/deploy/grafana/idlepush.json")
	systemtest.Must(t, err)
	systemtest.Must(t, json.Unmarshal(text, &board))
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			note("the panel "+p.Title, q.Expr)
		}
	}
	alerts := alertRules(t)
	for _, a := range alerts {
		note(a.Alert, a.Expr)
	}
	for name := range declared {
		if name != "" && !asked[name] && name != "idlepush_build_info" {
			t.Errorf("neither the dashboard nor an alert asks for %s", name)
		}
	}
	if len(board.Panels) < 10 || len(alerts) < 10 {
		t.Errorf("there are %d panels and %d alerts", len(board.Panels), len(alerts))
	}
}

// alertRule is one alert of deploy/prometheus.
type alertRule struct {
	Alert, Expr, For string
	Labels           struct{ Severity string }
}

func alertRules(t *testing.T) (list []alertRule) {
	t.Helper()
	text, err := os.ReadFile(top + "/deploy/prometheus/idlepush.rules.yml")
	systemtest.Must(t, err)
	var file struct{ Groups []struct{ Rules []alertRule } }
	systemtest.Must(t, yaml.Unmarshal(text, &file))
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

// TestAlertsAreExplained checks that docs/operate.md has each alert with its severity and delay.
func TestAlertsAreExplained(t *testing.T) {
	t.Parallel()
	explained := regexp.MustCompile("(?m)^\\| `(Idlepush[A-Za-z]+` \\| [a-z]+[^|]*) \\|").FindAllStringSubmatch(read(t, "docs/operate.md"), -1)
	var rows, want []string
	for _, m := range explained {
		rows = append(rows, m[1])
	}
	for _, a := range alertRules(t) {
		row := a.Alert + "` | " + a.Labels.Severity
		if a.For != "" {
			row += ", " + a.For
		}
		want = append(want, row)
	}
	slices.Sort(rows)
	slices.Sort(want)
	if !slices.Equal(rows, want) {
		t.Errorf("explained are %q, want %q", rows, want)
	}
}

// TestAlertsFire runs the tests of the alerts, which Prometheus has a program for.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		testenv.Missing(t, "promtool is not installed: in Debian it comes with prometheus")
	}
	out, err := exec.CommandContext(testenv.Context(t), promtool, "test", "rules", top+"/deploy/prometheus/idlepush.rules_test.yml").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
