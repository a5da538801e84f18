package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"idlepush"
	"idlepush/codes"
	"idlepush/promise"
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/webpush"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/watcher"
	"idlepush/watcher/discover"
	"idlepush/watcher/oauth"
	"idlepush/web"
)

var updateDocs = flag.Bool("update", false, "write docs/codes.md and docs/licenses.md anew")

type codeTable struct {
	of, title string
	entries   []codes.Entry
}

// codeTables are the tables of all packages, in the order of docs/codes.md.
var codeTables = []codeTable{
	{"idlepush/web", "Requests to the API", web.Codes},
	{"idlepush", "The link of an account", idlepush.Codes},
	{"idlepush/watcher", "Mailboxes", watcher.Codes},
	{"idlepush/watcher/discover", "Settings of a mail address", discover.Codes},
	{"idlepush/watcher/oauth", "Sign-in with a provider (OAuth2)", oauth.Codes},
	{"idlepush/registry", "Devices", registry.Codes},
	{"idlepush/receipt", "Receipts", receipt.Codes},
	{"idlepush/promise", "Promises", promise.Codes},
	{"idlepush/push", "Delivery", push.Codes},
	{"idlepush/push/fcm", "FCM", fcm.Codes},
	{"idlepush/push/apns", "APNs", apns.Codes},
	{"idlepush/push/webpush", "Web Push and UnifiedPush", webpush.Codes},
}

func TestCodes(t *testing.T) {
	t.Parallel()
	t.Run("each stands once, with sentences", eachCodeOnce)
	t.Run("each that a package uses is in its table, and each of its table is used", eachCodeUsed)
	t.Run("the API lists them", apiListsCodes)
	t.Run("docs/codes.md lists them", docsListCodes)
}

func eachCodeOnce(t *testing.T) {
	count := 0
	for _, table := range codeTables {
		count += len(table.entries)
		for _, e := range table.entries {
			if !regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`).MatchString(string(e.Code)) {
				t.Errorf("%s: %q is no code", table.of, e.Code)
			}
			for _, text := range append(slices.Collect(maps.Values(e.Cases)), e.Text) {
				if regexp.MustCompile(`^(is|are|was|has|must|may|does|cannot|sees) `).MatchString(text) {
					t.Errorf("%s: what %s says is no sentence: %q", table.of, e.Code, text)
				}
				if text == "" || strings.ContainsAny(regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllString(text, ""), "{}%\n|") {
					t.Errorf("%s: %s says %q", table.of, e.Code, text)
				}
			}
		}
	}
	if got := len(allCodes()); got != count {
		t.Errorf("the program has %d codes, the tables together %d: one is there twice, or a table is missing", got, count)
	}
}

// eachCodeUsed finds every constant of the type codes.Code: the type checker knows them all,
// however they come to be one. Its sentence is in the table of the package, or in that of one that
// it imports. A code that is only compared is not used.
func eachCodeUsed(t *testing.T) {
	packages, exports := listPackages(t)
	set := token.NewFileSet()
	from := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, p := range packages {
		used := usedCodes(t, set, from, p)
		i := slices.IndexFunc(codeTables, func(table codeTable) bool { return table.of == p.ImportPath })
		if i < 0 {
			for code, at := range used {
				t.Errorf("%s: %s has no table of codes, and uses %q", at, p.ImportPath, code)
			}
			continue
		}
		table, known := codes.Join(codeTables[i].entries), codes.Join(codeTables[i].entries)
		for _, of := range codeTables {
			if slices.Contains(p.Imports, of.of) {
				maps.Copy(known, codes.Join(of.entries))
			}
		}
		for code, at := range used {
			if _, ok := known[code]; !ok {
				t.Errorf("%s: %q has no sentence in %s/codes.go", at, code, p.ImportPath)
			}
		}
		for code := range table {
			if _, ok := used[code]; !ok {
				t.Errorf("%s does not use %q", p.ImportPath, code)
			}
		}
	}
}

// listed is a package as go list describes it.
type listed struct {
	Dir, ImportPath, Export string
	GoFiles, Imports        []string
}

// listPackages returns our packages that know codes, and the files with the types of all packages.
func listPackages(t *testing.T) (ours []listed, exports map[string]string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=Dir,ImportPath,Export,GoFiles,Imports", "idlepush/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	exports = make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		helper := strings.Contains(p.ImportPath, "test") // pushtest and what is below it
		if strings.HasPrefix(p.ImportPath, "idlepush/") && slices.Contains(p.Imports, "idlepush/codes") && !helper {
			ours = append(ours, p)
		}
	}
	if len(ours) < len(codeTables) {
		t.Errorf("%d packages know codes, and %d have a table", len(ours), len(codeTables))
	}
	return ours, exports
}

// usedCodes returns the codes that the package uses outside its table, and where.
func usedCodes(t *testing.T, set *token.FileSet, from types.Importer, p listed) map[codes.Code]token.Position {
	t.Helper()
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	if _, err := (&types.Config{Importer: from}).Check(p.ImportPath, set, files, &info); err != nil {
		t.Fatal(err)
	}
	used := make(map[codes.Code]token.Position)
	for _, f := range files {
		if filepath.Base(set.File(f.Package).Name()) == "codes.go" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if b, ok := n.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) {
				return false
			}
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			tv := info.Types[e]
			if tv.Value == nil || tv.Type.String() != "idlepush/codes.Code" {
				return true
			}
			if code := codes.Code(constant.StringVal(tv.Value)); code != "" {
				used[code] = set.Position(e.Pos())
			}
			return true
		})
	}
	return used
}

func apiListsCodes(t *testing.T) {
	w := httptest.NewRecorder()
	web.New(web.Config{PublicURL: func() string { return "" }, Codes: allCodes(), Log: slog.New(slog.DiscardHandler)}).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/openapi.json", nil))
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Enum       []codes.Code
				Properties map[string]struct{ Enum []codes.Code }
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if got, want := doc.Components.Schemas["Code"].Enum, allCodes().Codes(); !slices.Equal(got, want) {
		t.Errorf("the document lists %d codes, want %d", len(got), len(want))
	}
	got, want := doc.Components.Schemas["Note"].Properties["code"].Enum, codes.Join(discover.Codes).Codes()
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the document lists the notes %v, want %v", got, want)
	}
}

// docsListCodes holds docs/codes.md to the tables. Its introduction, up to the first table, is
// written by hand.
func docsListCodes(t *testing.T) {
	const name = "docs/codes.md"
	intro, _, _ := strings.Cut(read(t, name), "\n## ")
	want := intro
	for _, table := range codeTables {
		want += fmt.Sprintf("\n## %s\n\n| code | sentence |\n| --- | --- |\n", table.title)
		for _, e := range table.entries {
			want += fmt.Sprintf("| `%s` | %s |\n", e.Code, e.Text)
			for _, c := range slices.Sorted(maps.Keys(e.Cases)) {
				want += fmt.Sprintf("| `%s`, `case` is `%s` | %s |\n", e.Code, c, e.Cases[c])
			}
		}
	}
	if *updateDocs {
		if err := os.WriteFile(filepath.Join(top, name), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, name) != want {
		t.Errorf("%s differs from the tables: run go test ./cmd/idlepush -run Codes -update and look at the difference", name)
	}
}
