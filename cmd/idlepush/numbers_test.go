package main

import (
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"idlepush/registry"
)

// nothing is an environment without any variable.
func nothing(string) string { return "" }

func TestTheREADMEsTableOfSettingsIsTheProgramsOwn(t *testing.T) {
	t.Parallel()
	var told []setting
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)`( \\(secret\\))? \\| ([^|]+) \\| [^|]+ \\|$").FindAllStringSubmatch(read(t, "README.md"), -1) {
		s := setting{name: row[1], secret: row[2] != ""}
		if literal := regexp.MustCompile("^`([^`]+)`$").FindStringSubmatch(row[3]); literal != nil { // else words
			s.value = literal[1]
		}
		told = append(told, s)
	}
	var want []setting
	for _, s := range table {
		want = append(want, setting{name: s.name, value: s.value, secret: s.secret})
	}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("the README tells of\n%+v\nand the program knows\n%+v", told, want)
	}
}

func TestNumbersOfTheREADME(t *testing.T) {
	t.Parallel()
	s, err := parse("serve", nil, nothing, io.Discard)
	if want := (settings{listen: "127.0.0.1:8080", data: "./data", burstLimit: 5}); err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("without any setting: %+v, %v", s, err)
	}
	for _, c := range []struct{ words, where, holds string }{
		{"You need Go 1.26 or later.", "go.mod", "\ngo 1.26"},
		{"You need Go 1.26 or later.", "cmd/idlepush/Dockerfile", "FROM golang:1.26 "},
		{"Either serves on `http://127.0.0.1:8080`", "docker-compose.yml", "127.0.0.1:8080:8080"},
	} {
		if !strings.Contains(read(t, "README.md"), c.words) || !strings.Contains(read(t, c.where), c.holds) {
			t.Errorf("the README says %q, %s has %q: one of them is not so", c.words, c.where, c.holds)
		}
	}
}

func TestWhatIsJustWithinItsBoundsIsTaken(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]settings{
		"--burst-limit=100":                  {burstLimit: 100},
		"--admin-token=12345678901234567890": {adminToken: registry.Secret("12345678901234567890"), burstLimit: 5},
		"--listen=:65535":                    {listen: ":65535", burstLimit: 5},
	} {
		s, err := parse("serve", []string{flag}, nothing, io.Discard)
		if err != nil || s.burstLimit != want.burstLimit || s.adminToken != want.adminToken || want.listen != "" && s.listen != want.listen {
			t.Errorf("%s: %+v, %v", flag, s, err)
		}
	}
	for _, flag := range []string{"--burst-limit=101", "--admin-token=1234567890123456789", "--listen=:65536"} {
		if _, err := parse("serve", []string{flag}, nothing, io.Discard); err == nil {
			t.Errorf("%s is taken", flag)
		}
	}
}
