package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"idlepush/web"
)

// pages returns the text of every page for people, by its path: all Markdown files but the
// changelog, which describes the past too.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		paths, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name, err := filepath.Rel(top, path)
			if err != nil {
				t.Fatal(err)
			}
			if name = filepath.ToSlash(name); name != "CHANGELOG.md" {
				all[name] = read(t, name)
			}
		}
	}
	return all
}

// eachMatch calls check with every match of the pattern, or of its first group, on every page.
func eachMatch(t *testing.T, pattern string, check func(t *testing.T, page, match string)) {
	t.Helper()
	re, found := regexp.MustCompile(pattern), false
	for page, text := range pages(t) {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			found = true
			check(t, page, m[len(m)-1])
		}
	}
	if !found {
		t.Errorf("no page has a match of %s", pattern)
	}
}

// code returns a pattern for a whole text in backticks.
func code(pattern string) string { return "`(" + pattern + ")`" }

func TestDocs(t *testing.T) {
	t.Parallel()
	t.Run("name no variable that is not a setting", func(t *testing.T) {
		eachMatch(t, variables.String(), func(t *testing.T, page, name string) {
			if name = strings.TrimSuffix(name, "_"); !known()[name] && name != "IDLEPUSH" {
				t.Errorf("%s: %s is not a setting", page, name)
			}
		})
	})
	t.Run("name no flag that is not a setting", func(t *testing.T) {
		others := append(doctorFlags(), printSettings, "with-key", "replace", // of commands
			"profile", "rm", "build", "volumes-from", // of docker and docker compose
			"pipe", "wait", "quiet", "bg", "now", "ignore-missing", "system") // of other programs
		eachMatch(t, `(?:^|[\s`+"`"+`])--([a-z][a-z-]*)`, func(t *testing.T, page, name string) {
			if !known()[variable(name)] && !slices.Contains(others, name) {
				t.Errorf("%s: --%s is not a setting", page, name)
			}
		})
	})
	t.Run("name no setting that does not exist", func(t *testing.T) {
		others := []string{"setup-token", "mail-w"}
		eachMatch(t, code(`[a-z]+(?:-[a-z]+)+`), func(t *testing.T, page, name string) {
			if !known()[variable(name)] && !slices.Contains(others, name) {
				t.Errorf("%s: `%s` is not a setting", page, name)
			}
		})
	})
	t.Run("name no command that does not exist", func(t *testing.T) {
		eachMatch(t, `(?:\./cmd/idlepush|[`+"`"+`\n]\./idlepush|`+"`"+`idlepush) ([a-z]+(?:-[a-z]+)*)`, func(t *testing.T, page, name string) {
			if !strings.Contains(usage, "\n  idlepush "+name+" ") && name != "version" {
				t.Errorf("%s: idlepush has no command %q", page, name)
			}
		})
	})
	t.Run("name no tool that go.mod lacks", func(t *testing.T) {
		eachMatch(t, `go tool ([a-z]+)`, func(t *testing.T, page, name string) {
			if !regexp.MustCompile(`(?m)^(tool|\t)\s*\S*/` + name + `(/\S*)?$`).MatchString(read(t, "go.mod")) {
				t.Errorf("%s: go.mod has no tool %s", page, name)
			}
		})
	})
}

func TestDocsLinkToWhatExists(t *testing.T) {
	t.Parallel()
	eachMatch(t, `(?s)\]\(([^)]+)\)`, func(t *testing.T, page, link string) {
		if strings.Contains(link, "://") {
			return
		}
		path, anchor, _ := strings.Cut(link, "#")
		target := page
		if path != "" {
			target = filepath.ToSlash(filepath.Join(filepath.Dir(page), path))
		}
		if _, err := os.Stat(filepath.Join(top, target)); err != nil {
			t.Errorf("%s: a link leads to %s, which is not there", page, link)
			return
		}
		if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
			t.Errorf("%s: a link leads to %s, and there is no such heading", page, link)
		}
	})
}

// anchors returns the anchors of the headings of a page, as GitHub creates them.
func anchors(text string) (list []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		words := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(words, " ", "-"))
	}
	return list
}

// TestDocsNamePathsThatExist takes a code word as a path if it begins with a folder at the top.
func TestDocsNamePathsThatExist(t *testing.T) {
	t.Parallel()
	eachMatch(t, code(`(?:\./)?(?:\.ci|cmd|docs|netguard|push|registry|watcher|web)/[A-Za-z0-9_./*-]*`), func(t *testing.T, page, path string) {
		found, err := filepath.Glob(filepath.Join(top, strings.TrimSuffix(path, "/...")))
		if err != nil || len(found) == 0 {
			t.Errorf("%s: there is no %s", page, path)
		}
	})
}

// TestDocsNameFilesThatExist takes a code word as a file if it has an extension that files of the
// repository have.
func TestDocsNameFilesThatExist(t *testing.T) {
	t.Parallel()
	there := make(map[string]bool)
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		there[filepath.Base(path)] = true
		if err == nil && d.IsDir() && d.Name() == "node_modules" {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	eachMatch(t, code(`[a-z_]+\.(?:go|js|mjs|css|html)`), func(t *testing.T, page, name string) {
		if !there[name] {
			t.Errorf("%s: there is no file %s", page, name)
		}
	})
}

// sources returns the text of all Go files that are not tests.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "node_modules" {
			return errOr(err, fs.SkipDir)
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// TestDocsNameCodesThatExist takes a code word with underscores as a code or a field.
func TestDocsNameCodesThatExist(t *testing.T) {
	t.Parallel()
	source := sources(t)
	eachMatch(t, code(`[a-z0-9]+(?:_[a-z0-9]+)+`), func(t *testing.T, page, word string) {
		if !strings.Contains(source, `"`+word+`"`) && !strings.Contains(source, `"`+word+`,omit`) {
			t.Errorf("%s: the program does not know `%s`", page, word)
		}
	})
}

// TestDocsNameGoNamesThatExist checks code words like registry.Mail and Mail.Record.
func TestDocsNameGoNamesThatExist(t *testing.T) {
	t.Parallel()
	source := sources(t)
	eachMatch(t, code(`(?:[a-z0-9]+\.)?[A-Z][A-Za-z]+(?:\.[A-Z][A-Za-z]+)?`), func(t *testing.T, page, name string) {
		if words := strings.Split(name, "."); len(words) > 1 && !regexp.MustCompile(`\b`+words[len(words)-1]+`\b`).MatchString(source) {
			t.Errorf("%s: there is no %s", page, name)
		}
	})
}

// operations returns the parameters of the OpenAPI document, by method and path.
func operations(t *testing.T) (list map[string][]string, schemas string) {
	t.Helper()
	w := httptest.NewRecorder()
	web.New(web.Config{PublicURL: func() string { return "" }, Log: slog.New(slog.DiscardHandler)}).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/openapi.json", nil))
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	list = map[string][]string{"GET /healthz": nil, "GET /readyz": nil, "GET /metrics": nil, "GET /openapi.json": nil}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			var names []string
			for _, p := range op.Parameters {
				names = append(names, p.Name)
			}
			list[strings.ToUpper(method)+" "+path] = names
		}
	}
	return list, w.Body.String()
}

func TestDocsNameRoutesThatExist(t *testing.T) {
	t.Parallel()
	routes, _ := operations(t)
	check := func(t *testing.T, page, at string) {
		at, query, _ := strings.Cut(at, "?")
		method, path, named := strings.Cut(at, " ")
		if !named {
			method, path = "", at
		}
		path = strings.TrimPrefix(path, "/api/v1")
		for route, parameters := range routes {
			m, template, _ := strings.Cut(route, " ")
			pattern := "^" + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(template, `[^/]+`) + "$"
			if method != "" && m != method || !regexp.MustCompile(pattern).MatchString(path) {
				continue
			}
			if name, _, _ := strings.Cut(query, "="); query == "" || slices.Contains(parameters, name) {
				return
			}
		}
		t.Errorf("%s: the API has no %s", page, at)
	}
	eachMatch(t, `\b((?:GET|POST|PATCH|DELETE|PUT) /[A-Za-z0-9/{}_.?=-]*[A-Za-z0-9}])`, check)
	eachMatch(t, `(/api/v1/[A-Za-z0-9/{}_.?=-]*[A-Za-z0-9}])`, check)
	eachMatch(t, code(`/(?:healthz|readyz|metrics|[a-z]+z)`), check)
	eachMatch(t, `\$api(/[a-z/]*[a-z])`, check)
}

// TestDocsNameFieldsThatExist checks the keys of JSON objects in the pages of the API.
func TestDocsNameFieldsThatExist(t *testing.T) {
	t.Parallel()
	_, schemas := operations(t)
	eachMatch(t, `"([a-z][a-z0-9_]*)"\s*:`, func(t *testing.T, page, name string) {
		if !strings.Contains(schemas, `"`+name+`": {`) {
			t.Errorf("%s: no body has a field %q", page, name)
		}
	})
}

// TestDocsRunTestsThatExist checks that the pattern after -run matches a test of the packages.
func TestDocsRunTestsThatExist(t *testing.T) {
	t.Parallel()
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile(`go test \./(\S+) (?:-\S+ )*-run '?([^'\s]+)'?`).FindAllStringSubmatch(text, -1) {
			files, err := filepath.Glob(filepath.Join(top, m[1], "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			names := regexp.MustCompile(`(?m)^func Test\w*(?:` + m[2] + `)`)
			if !slices.ContainsFunc(files, func(path string) bool { return names.MatchString(read(t, strings.TrimPrefix(path, top))) }) {
				t.Errorf("%s: no test of %s matches %s", page, m[1], m[2])
			}
		}
	}
}

// quantity matches a number with a unit.
var quantity = regexp.MustCompile(`\b(?:\d+ (?:ms|s|min|h|MB|bytes|characters|failures|times|seconds?|minutes?|hours?|days?)|` +
	`(?:an?|one|two|three|six|nine|ten|twelve|some) (?:bytes|characters|failures|tries|times|seconds?|minutes?|hours?|days?|weeks?|months?|years?))\b`)

// TestDocsNumbersAreHeld fails for a quantity in the docs that no numbers_test.go checks, unless it
// is about something else than the program.
func TestDocsNumbersAreHeld(t *testing.T) {
	t.Parallel()
	held := heldWords(t)
	for page, text := range pages(t) {
		if !strings.HasPrefix(page, "docs/") && page != "README.md" || page == "docs/performance.md" {
			continue
		}
		if before, rest, found := strings.Cut(text, "\n## Decrypt\n"); found { // vectors
			_, after, _ := strings.Cut(rest, "\n## Show\n")
			text = before + after
		}
		text = strings.Join(strings.Fields(text), " ")
		var covered [][]int
		for _, words := range slices.Concat(held, ofOthers) {
			covered = append(covered, regexp.MustCompile(regexp.QuoteMeta(words)).FindAllStringIndex(text, -1)...)
		}
		for _, at := range quantity.FindAllStringIndex(text, -1) {
			within := func(c []int) bool { return c[0] <= at[0] && at[1] <= c[1] }
			if !slices.ContainsFunc(covered, within) {
				t.Errorf("%s: no test holds %q", page, text[max(0, at[0]-60):min(len(text), at[1]+30)])
			}
		}
	}
}

// heldWords returns the strings in all numbers_test.go that have a space and so may be sentences.
func heldWords(t *testing.T) (list []string) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "numbers_test.go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if words, err := strconv.Unquote(literal.Value); err == nil && strings.Contains(words, " ") {
					list = append(list, words)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// ofOthers are sentences with numbers of other programs, or numbers that other tests check.
var ofOthers = []string{
	// Measured, or an example.
	"rings within a second", "mail every few seconds", "in about five minutes on two cores", "push + 7 ms", "push + 8 ms", "push + 9 ms",
	"checked 40 seconds ago", "smallest binary has 26 MB instead of 44", "This takes some seconds.", "continues in another one. So a second engine",
	// Of mail servers.
	"some honest servers take a minute to announce it",
	// Of Apple.
	"only two or three times an hour", "iOS allows that two or three times an hour", "It has some 30 seconds",
	// Of Google and Microsoft.
	"every token ends after 7 days", "So do 6 months in which idlepush did not run", "which ends after 24 months at most", "its tokens end after 24 hours",
	"So do 90 days in which idlepush did not run",
	// Of the curve P-256.
	"Each coordinate has 32 bytes",
}

// TestDocsNameEveryPackage fails if docs/architecture.md lacks a package or one of its imports.
func TestDocsNameEveryPackage(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/architecture.md")
	packages := regexp.MustCompile("`([a-z0-9]+(?:/[a-z0-9]+)*)`")
	named := func(text string) (list []string) {
		for _, m := range packages.FindAllStringSubmatch(text, -1) {
			path := "idlepush/" + m[1]
			if m[1] == "idlepush" { // the package in the root of the module
				path = m[1]
			}
			if _, there := mayImport[path]; there {
				list = append(list, path)
			}
		}
		slices.Sort(list)
		return list
	}
	for path := range mayImport {
		if all := named(page); !slices.Contains(all, path) && !strings.HasPrefix(path, "idlepush/push/pushtest/") {
			t.Errorf("docs/architecture.md does not name %s", path)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z/0-9`, ]+) \\| [^|]+ \\| ([^|]+) \\|$").FindAllStringSubmatch(page, -1) {
		for _, path := range named(row[1]) {
			if want := slices.Sorted(slices.Values(mayImport[path])); row[2] != "everybody" && !slices.Equal(named(row[2]), want) {
				t.Errorf("docs/architecture.md says that %s imports %v, and it may import %v", path, named(row[2]), want)
			}
		}
	}
}
