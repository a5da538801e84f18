package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

// knownLicenses have, under their SPDX identifiers, words that the others lack. All of them let us
// give away a program that contains the code. Read any other before a library under it is used.
var knownLicenses = map[string]string{
	"Apache-2.0":   "Apache License Version 2.0",
	"BSD-3-Clause": "MAY BE USED TO ENDORSE OR PROMOTE PRODUCTS",
	"MIT":          "Permission is hereby granted, free of charge",
}

// licenseTexts returns the text of each license file of what is compiled into the program, by its
// module and name.
func licenseTexts(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(testenv.Context(t), top+"/deploy/package/licenses").Output()
	systemtest.Must(t, err)
	texts := make(map[string]string)
	for part := range strings.SplitSeq("\n"+string(out), "\n==== ") {
		file, text, _ := strings.Cut(part, "\n")
		texts[file] = text
	}
	delete(texts, "") // before the first
	return texts
}

// TestLicenses checks that docs/licenses.md lists the license of everything that is compiled into
// the program.
func TestLicenses(t *testing.T) {
	t.Parallel()
	space := regexp.MustCompile(`\s+`)
	found := make(map[string][]string)
	for file, text := range licenseTexts(t) {
		module, name, _ := strings.Cut(file, ": ")
		if _, ok := found[module]; !ok {
			found[module] = nil
		}
		text = strings.ToUpper(space.ReplaceAllString(text, " "))
		for id, words := range knownLicenses {
			if !strings.HasPrefix(name, "NOTICE") && strings.Contains(text, strings.ToUpper(words)) {
				found[module] = append(found[module], id)
			}
		}
	}
	if len(found) < 30 {
		t.Fatalf("only %d licenses were found", len(found))
	}
	var b strings.Builder
	b.WriteString("# Licenses\n\nidlepush is under the [MIT license](../LICENSE). These modules are compiled into it. The files of a\n" +
		"release have the texts of their licenses; `deploy/package/licenses` prints them.\n\n| module | license |\n| --- | --- |\n")
	for _, module := range slices.Sorted(maps.Keys(found)) {
		if len(found[module]) == 0 {
			t.Errorf("the license of %s is none of knownLicenses: read it, and add it if it lets us give away the program", module)
		}
		slices.Sort(found[module])
		fmt.Fprintf(&b, "| %s | %s |\n", module, strings.Join(slices.Compact(found[module]), ", "))
	}
	const name = top + "/docs/licenses.md"
	if *updateDocs {
		systemtest.Must(t, os.WriteFile(name, []byte(b.String()), 0o644))
	}
	if read(t, "docs/licenses.md") != b.String() {
		t.Error("docs/licenses.md differs from what is compiled in: run go test ./cmd/idlepush -run Licenses -update and look at the difference")
	}
}
