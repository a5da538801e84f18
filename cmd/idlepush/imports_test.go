package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the house: which of our packages each may know. Tests may know more.
var mayImport = map[string][]string{
	"idlepush":                          {"idlepush/cleantext", "idlepush/codes", "idlepush/receipt", "idlepush/ring"},
	"idlepush/receipt":                  {"idlepush/codes"},
	"idlepush/ring":                     {"idlepush/codes"},
	"idlepush/cleantext":                {},
	"idlepush/registry":                 {"idlepush", "idlepush/cleantext", "idlepush/codes", "idlepush/receipt", "idlepush/registry/table", "idlepush/registry/migrate", "idlepush/ring"},
	"idlepush/registry/table":           {"idlepush/registry/boltcheck"},
	"idlepush/registry/backup":          {"idlepush", "idlepush/registry", "idlepush/registry/table"},
	"idlepush/registry/boltcheck":       {},
	"idlepush/registry/migrate":         {"idlepush/registry/table"},
	"idlepush/registry/migrate/v1":      {"idlepush/registry/table"},
	"idlepush/registry/registrytest":    {"idlepush", "idlepush/registry"},
	"idlepush/registry/testenv":         {},
	"idlepush/promise":                  {"idlepush", "idlepush/codes", "idlepush/receipt", "idlepush/registry"},
	"idlepush/netguard":                 {},
	"idlepush/codes":                    {},
	"idlepush/clocks":                   {},
	"idlepush/watcher/wire":             {"idlepush/netguard"},
	"idlepush/watcher/imapmem":          {},
	"idlepush/watcher/discover":         {"idlepush/codes", "idlepush/netguard", "idlepush/watcher/wire"},
	"idlepush/watcher/oauth":            {"idlepush", "idlepush/codes", "idlepush/netguard"},
	"idlepush/watcher/oauth/oauthtest":  {"idlepush", "idlepush/netguard", "idlepush/registry/registrytest", "idlepush/watcher/oauth"},
	"idlepush/watcher/message":          {"idlepush/cleantext", "idlepush/ring"},
	"idlepush/watcher":                  {"idlepush", "idlepush/clocks", "idlepush/codes", "idlepush/netguard", "idlepush/registry", "idlepush/watcher/wire", "idlepush/watcher/message", "idlepush/watcher/oauth", "idlepush/ring"},
	"idlepush/watcher/imaptest":         {},
	"idlepush/watcher/imaptest/servers": {"idlepush/registry/testenv", "idlepush/watcher/imapmem"},
	"idlepush/push":                     {"idlepush", "idlepush/clocks", "idlepush/codes", "idlepush/netguard", "idlepush/receipt", "idlepush/registry", "idlepush/ring"},
	"idlepush/push/fcm":                 {"idlepush", "idlepush/codes", "idlepush/push", "idlepush/registry"},
	"idlepush/push/apns":                {"idlepush", "idlepush/codes", "idlepush/push", "idlepush/registry"},
	"idlepush/push/webpush":             {"idlepush", "idlepush/codes", "idlepush/netguard", "idlepush/push", "idlepush/registry"},
	"idlepush/push/pushtest":            {"idlepush", "idlepush/codes", "idlepush/registry", "idlepush/ring"},
	"idlepush/push/pushtest/sendertest": {"idlepush", "idlepush/codes", "idlepush/push", "idlepush/push/pushtest", "idlepush/registry", "idlepush/registry/registrytest", "idlepush/registry/testenv"},
	"idlepush/push/pushtest/services":   {}, // only tests
	"idlepush/push/pushtest/mozilla":    {"idlepush", "idlepush/push/pushtest"},
	"idlepush/web":                      {"idlepush", "idlepush/cleantext", "idlepush/codes", "idlepush/netguard", "idlepush/promise", "idlepush/receipt", "idlepush/registry", "idlepush/ring"},
	"idlepush/web/browsertest":          {"idlepush/registry/testenv"},
	"idlepush/cmd/idlepush/api":         {"idlepush"},
	"idlepush/cmd/idlepush/browser":     {},
	"idlepush/cmd/idlepush/metrics":     {"idlepush", "idlepush/codes", "idlepush/promise", "idlepush/push", "idlepush/receipt", "idlepush/registry", "idlepush/watcher", "idlepush/watcher/discover"},
	"idlepush/cmd/idlepush/systemtest":  {"idlepush", "idlepush/cmd/idlepush/api", "idlepush/push/pushtest", "idlepush/registry/registrytest", "idlepush/registry/testenv", "idlepush/watcher/imaptest/servers"},
	"idlepush/cmd/loadtest":             {"idlepush", "idlepush/push/pushtest", "idlepush/registry"},
	"idlepush/cmd/idlepush": {"idlepush", "idlepush/clocks", "idlepush/codes", "idlepush/cmd/idlepush/api", "idlepush/cmd/idlepush/metrics", "idlepush/netguard", "idlepush/registry", "idlepush/registry/backup", "idlepush/watcher", "idlepush/watcher/discover", "idlepush/watcher/imapmem", "idlepush/watcher/imaptest", "idlepush/watcher/oauth", "idlepush/push", "idlepush/push/fcm",
		"idlepush/push/apns", "idlepush/push/webpush", "idlepush/push/pushtest", "idlepush/promise", "idlepush/receipt", "idlepush/ring", "idlepush/web"},
}

// forTests are the rooms that only tests use, and that may therefore know testing.
var forTests = []string{"idlepush/registry/registrytest", "idlepush/registry/testenv", "idlepush/watcher/imaptest/servers", "idlepush/watcher/oauth/oauthtest", "idlepush/push/pushtest/sendertest",
	"idlepush/web/browsertest",
	"idlepush/cmd/idlepush/systemtest"}

// oneRoom are the libraries that only one room may know, or none. With templates the linker keeps
// each exported method of each type: 4 MB.
var oneRoom = map[string][]string{
	"go.etcd.io/bbolt":                {"idlepush/registry/table", "idlepush/registry/boltcheck"},
	"firebase.google.com/go/v4":       {"idlepush/push/fcm"},
	"github.com/sideshow/apns2":       {"idlepush/push/apns"},
	"github.com/danielgtaylor/huma":   {"idlepush/web"},
	"github.com/go-webauthn/webauthn": {"idlepush/web"},
	"golang.org/x/text/secure":        {"idlepush/cleantext"},
	"github.com/prometheus":           {"idlepush/cmd/idlepush/metrics"},
	"filippo.io/age":                  {"idlepush/registry/backup"},
	"html/template":                   {"idlepush/watcher/oauth/oauthtest"}, // a stand-in
	"text/template":                   {},
	"golang.org/x/oauth2":             {"idlepush/push/fcm", "idlepush/watcher/oauth"},
	"github.com/coder/websocket":      {"idlepush/push/pushtest/mozilla", "idlepush/web/browsertest"},
}

func TestTheRoomsKnowOnlyWhomTheyMay(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "idlepush/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		room, imports := words[0], words[1:]
		may, known := mayImport[room]
		if !known {
			t.Errorf("%s is no room of the house: give it a reason and a line here", room)
		}
		seen++
		for _, i := range imports {
			if (i == "idlepush" || strings.HasPrefix(i, "idlepush/")) && !slices.Contains(may, i) {
				t.Errorf("%s must not know %s", room, i)
			}
			for library, rooms := range oneRoom {
				if (i == library || strings.HasPrefix(i, library+"/")) && !slices.Contains(rooms, room) {
					t.Errorf("%s must not know %s: only %v may", room, i, rooms)
				}
			}
			if i == "testing" && !slices.Contains(forTests, room) {
				t.Errorf("%s imports testing", room)
			}
		}
	}
	if seen != len(mayImport) {
		t.Errorf("%d rooms are there, %d are in the table", seen, len(mayImport))
	}
}

// maxExported bounds the exported names of a package, without methods: whoever reads its
// documentation is to see it whole.
const maxExported = 60

func TestExportedNamesOfEveryPackageFitOneLook(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{$dir := .Dir}}{{.ImportPath}}{{range .GoFiles}} {{$dir}}/{{.}}{{end}}`, "idlepush/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := false
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		names := 0
		for _, file := range words[1:] {
			names += exportedNames(t, file)
		}
		if names > maxExported {
			t.Errorf("%s exports %d names, more than %d: it knows more than one thing", words[0], names, maxExported)
		}
		seen = seen || names > maxExported/2
	}
	if !seen {
		t.Error("this test sees nothing")
	}
}

// exportedNames counts the exported names that the file declares at top level.
func exportedNames(t *testing.T, file string) (names int) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	count := func(list ...*ast.Ident) {
		for _, name := range list {
			if name.IsExported() {
				names++
			}
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				count(d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					count(s.Name)
				case *ast.ValueSpec:
					count(s.Names...)
				}
			}
		}
	}
	return names
}

// unlinked are the modules that must not come into the program with a library that it uses.
var unlinked = []string{"cloud.google.com/go/firestore", "cloud.google.com/go/storage", "cloud.google.com/go/monitoring", "github.com/envoyproxy"}

func TestTheProgramLinksZonesAndNoDatabaseOfGoogle(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "idlepush/cmd/idlepush").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		for _, module := range unlinked {
			if strings.HasPrefix(line, module) {
				t.Errorf("it links %s", line)
			}
		}
	}
	if !strings.Contains(string(out), "firebase.google.com/go/v4/messaging\n") {
		t.Error("this test sees nothing")
	}
	if !strings.Contains(string(out), "\ntime/tzdata\n") {
		t.Error("it does not link the time zones, which quiet hours need and the image lacks")
	}
}
