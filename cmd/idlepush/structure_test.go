package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"idlepush/push"
)

// mayName are the files that may name a transport, by what their paths begin with: the packages of
// transports, their stand-ins, and the program's list of them. Tests and documents may too, and so
// may the page's texts.
var mayName = []string{
	"push/fcm/", "push/apns/", "push/webpush/", "push/pushtest/",
	"cmd/idlepush/transports.go",
	"cmd/idlepush/standins.go",
	"cmd/idlepush/selftest",    // it says which stand-in does what
	"cmd/idlepush/systemtest/", // so do its tests
	"cmd/loadtest/",            // it has stand-ins of its own, which cost less
}

// protocol are texts that only sound like a name: they are part of a protocol.
var protocol = []string{`"WebPush: info\x00"`} // RFC 8291 section 3.4

func TestNoOtherFileNamesATransport(t *testing.T) {
	t.Parallel()
	named := transportNames(t)
	files := 0
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, filepath.Clean(top)+string(filepath.Separator)))
		for _, allowed := range mayName {
			if strings.HasPrefix(name, allowed) {
				return nil
			}
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			text := ""
			switch n := n.(type) {
			case *ast.Ident:
				text = n.Name
			case *ast.BasicLit:
				text = n.Value
			}
			for _, word := range protocol {
				text = strings.ReplaceAll(text, word, "")
			}
			if found := named.FindString(text); found != "" {
				t.Errorf("%s:%d names %s", name, set.Position(n.Pos()).Line, found)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("this test has seen %d files", files)
	}
}

// transportNames matches the name of any transport.
func transportNames(t *testing.T) *regexp.Regexp {
	t.Helper()
	names := []string{"firebase"}
	for _, service := range services {
		made, err := service.New(nil, push.Server{})
		if err != nil {
			t.Fatal(err)
		}
		for _, transport := range made {
			names = append(names, string(transport.Traits().Name))
		}
	}
	if len(names) < 5 {
		t.Fatalf("the transports are %v", names)
	}
	return regexp.MustCompile(`(?i)` + strings.Join(names, "|"))
}
