package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

// scrapes are what Prometheus has read of a program, once a minute.
type scrapes struct {
	n      int
	series map[string][]string // values by series; "_" if one was not there
}

// add reads the metrics once more. A nil handler is a program that does not run.
func (s *scrapes) add(figures http.Handler) {
	now := map[string]string{`up{job="idlepush"}`: "0"}
	if figures != nil {
		answer := httptest.NewRecorder()
		figures.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		for line := range strings.Lines(answer.Body.String()) {
			if series, value, ok := cutLast(strings.TrimSpace(line), " "); ok && strings.HasPrefix(series, "idlepush_") {
				now[series] = value
			}
		}
		if answer.Code == http.StatusOK {
			now[`up{job="idlepush"}`] = "1"
		}
	}
	if s.series == nil {
		s.series = make(map[string][]string)
	}
	for series := range now {
		for len(s.series[series]) < s.n {
			s.series[series] = append(s.series[series], "_")
		}
	}
	for series, values := range s.series {
		value, ok := now[series]
		if !ok {
			value = "_"
		}
		s.series[series] = append(values, value)
	}
	s.n++
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// last returns the newest value of a series.
func (s *scrapes) last(series string) string {
	values := s.series[series]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// evaluate has Prometheus evaluate the alerts over what it has read: at the second of two scrapes
// all that are named must fire, and none at the first and at the end.
func (s *scrapes) evaluate(t *testing.T, named string, dead [2]int) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		testenv.Missing(t, "promtool is not installed: in Debian it comes with prometheus")
	}
	rules, err := filepath.Abs(top + "/deploy/prometheus/idlepush.rules.yml")
	systemtest.Must(t, err)
	type object = map[string]any
	var series, asked []object
	for name, values := range s.series {
		series = append(series, object{"series": name, "values": strings.Join(values, " ")})
	}
	ask := func(scrape int, expr string, want int) {
		asked = append(asked, object{"expr": expr, "eval_time": fmt.Sprintf("%dm", scrape), "exp_samples": []object{{"labels": "{}", "value": want}}})
	}
	for _, alert := range regexp.MustCompile(`Idlepush\w+`).FindAllString(named, -1) {
		ask(dead[1], fmt.Sprintf(`group(ALERTS{alertstate="firing", alertname=%q})`, alert), 1)
	}
	for _, scrape := range []int{dead[0], s.n - 1} {
		ask(scrape, `count(ALERTS{alertstate="firing"}) or vector(0)`, 0)
	}
	text, err := json.Marshal(object{"rule_files": []string{rules}, "evaluation_interval": "1m",
		"tests": []object{{"interval": "1m", "input_series": series, "promql_expr_test": asked}}})
	systemtest.Must(t, err)
	file := filepath.Join(t.TempDir(), "test.json")
	systemtest.Must(t, os.WriteFile(file, text, 0o600))
	if out, err := exec.CommandContext(testenv.Context(t), promtool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
