package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocsAttention goes through the code for what is sent as an attention: what only a person can
// help, at a mailbox and at its provider, and what the store tells people.
func TestDocsAttention(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/behaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	_, listed, _ := strings.Cut(string(text), "\n## Attention\n")
	listed, _, _ = strings.Cut(listed, "\n## ")
	for _, source := range []struct {
		files   string
		code    *regexp.Regexp
		least   int
		further []string // found, and not sent
	}{
		{"../../watcher/*.go", regexp.MustCompile(`Code: "([a-z_]+)"[^{]*?final: true`), 10, nil},
		{"../../watcher/oauth/*.go", regexp.MustCompile(`"([a-z_]+)", (?:[a-zA-Z"]+, )?(?:Consent|Admin)[)}]`), 10,
			// These end a sign-in, and no account has them.
			[]string{"no_device_code", "device_code_expired", "no_refresh_token", "issuer_without_metadata", "issuer_faulty"}},
		{"../../registry/codes.go", regexp.MustCompile(`(?i)code[a-z]+ +codes\.Code = "([a-z_]+)"`), 10,
			[]string{"old", "duplicate", "excess", "row_damaged", "device_damaged", "files_open"}},
	} {
		found := make(map[string]bool)
		for _, file := range matches(t, source.files) {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, code := range source.code.FindAllSubmatch(text, -1) {
				found[string(code[1])] = true
			}
		}
		if len(found) < source.least {
			t.Errorf("in %s are only %v", source.files, found)
		}
		for code := range found {
			if !slices.Contains(source.further, code) && !strings.HasPrefix(code, "consent_") && !strings.Contains(listed, "`"+code+"`") {
				t.Errorf("docs/behaviour.md does not list %s", code)
			}
		}
	}
}

func matches(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files
}
