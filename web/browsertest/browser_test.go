package browsertest_test

import (
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

func TestMain(m *testing.M) {
	testenv.SetParallel(3)
	goleak.VerifyTestMain(m)
}

const form = `<!DOCTYPE html><html lang="en"><meta name="viewport" content="width=device-width"><title>Form</title>
<style>:root { color-scheme: light dark } body { background: Canvas } dialog:not([open]) { display: none }</style>
<main><h1 tabindex="-1">Go on</h1>
<label>Name <input id="name" value="old"></label>
<label><input type="checkbox" id="tick"> Stay signed in</label>
<button id="late" hidden>Go on</button><button aria-label="Close the form">×</button><p id="said"></p><a href="/next">Next page</a></main>
<script>
late.onclick = () => { said.textContent = "Hello, " + document.getElementById("name").value + (tick.checked ? ", stay" : "") };
document.getElementById("name").onkeydown = e => { if (e.key === "Enter") late.hidden = false };
</script>`

func serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	page := func(path, csp, html string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", csp)
			io.WriteString(w, html)
		})
	}
	page("/{$}", "default-src 'self' 'unsafe-inline'", form)
	page("/next", "", `<!DOCTYPE html><html lang="en"><title>Next</title><main><h1>Next</h1></main>`)
	page("/throws", "", `<!DOCTYPE html><title>t</title><script>console.error("logged one"); setTimeout(() => { throw new Error("uncaught one") })</script>`)
	page("/rejects", "", `<!DOCTYPE html><title>t</title><script>Promise.reject(new Error("rejected one"))</script>`)
	page("/foreign", "default-src 'self'", `<!DOCTYPE html><title>t</title><img src="https://example.org/x.png" alt="">`)
	page("/wide", "", `<!DOCTYPE html><html lang="en"><title>w</title><main><h1>w</h1><div style="width: 400px">w</div><img src="data:,"><p style="color:#ccc;background:#fff">pale</p></main>`)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// inEachBrowser runs a test in each browser.
func inEachBrowser(t *testing.T, test func(t *testing.T, b *browsertest.Browser)) {
	t.Run("firefox", func(t *testing.T) { test(t, browsertest.Firefox(t, nil)) })
	t.Run("chromium", func(t *testing.T) { test(t, browsertest.Chromium(t)) })
}

// TestForm fills in a form as a person does.
func TestForm(t *testing.T) {
	t.Parallel()
	url := serve(t)
	inEachBrowser(t, func(t *testing.T, b *browsertest.Browser) {
		p := b.Open(t, url+"/")
		p.SetViewport(t, 320, 640)
		p.CheckOverflow(t)
		p.CheckAccessible(t)
		if p.Has(t, "Go on") /* the heading cannot be clicked */ || !p.Has(t, "Close the form") {
			t.Error("Has finds a hidden button, or does not find a visible one")
		}
		p.Type(t, "Name", "Äpfel ✓")
		p.Press(t, browsertest.Enter)
		p.Click(t, "Stay signed in")
		p.Click(t, "Go on")
		p.WaitText(t, "Hello, Äpfel ✓, stay")
		path := filepath.Join(t.TempDir(), "shot.png")
		p.Screenshot(t, path, false)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if shot, err := png.Decode(f); err != nil || shot.Bounds().Dx() != 320 || shot.Bounds().Dy() != 640 {
			t.Errorf("the screenshot: %v", err)
		}
		p.Click(t, "Next page")
		p.Wait(t, "it is the next page", `path => location.pathname === path`, "/next")

		isolated := b.OpenIsolated(t, url+"/")
		p.Eval(t, nil, `() => localStorage.setItem("mine", "1")`)
		var found *string
		if isolated.Eval(t, &found, `() => localStorage.getItem("mine")`); found != nil {
			t.Error("an isolated tab reads the storage of another")
		}
	})
}

// TestDriverRestart has a chromedriver that finds no free port at first.
func TestDriverRestart(t *testing.T) {
	driver, err := exec.LookPath("chromedriver")
	if err != nil {
		browsertest.Chromium(t) // ends the test
	}
	folder := t.TempDir()
	unlucky := fmt.Sprintf("#!/bin/sh\nmkdir %q 2>/dev/null && { echo 'IPv4 port not available. Exiting...'; exit 1; }\nexec %q \"$@\"\n", filepath.Join(folder, "once"), driver)
	if err := os.WriteFile(filepath.Join(folder, "chromedriver"), []byte(unlucky), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	browsertest.Chromium(t).Open(t, serve(t)+"/next")
}

func TestTakeErrors(t *testing.T) {
	t.Parallel()
	url := serve(t)
	inEachBrowser(t, func(t *testing.T, b *browsertest.Browser) {
		for path, words := range map[string][]string{"/throws": {"logged one", "uncaught one"}, "/rejects": {"rejected one"}, "/foreign": {"Content-Security-Policy: img-src"}} {
			b.Open(t, url+path)
			errors := ""
			testenv.Await(t, "the errors of "+path, func() error {
				errors += strings.Join(b.TakeErrors(), "\n") + "\n"
				for _, w := range words {
					if !strings.Contains(errors, w) {
						return fmt.Errorf("%q is not in %q", w, errors)
					}
				}
				return nil
			})
		}
		b.Close(&recorder{TB: t}) // a browser may report the same error again
	})
}

func TestColorScheme(t *testing.T) {
	t.Parallel()
	dark := func(t *testing.T, p *browsertest.Page) (is bool) {
		t.Helper()
		p.Eval(t, &is, `() => matchMedia("(prefers-color-scheme: dark)").matches`)
		return is
	}
	url := serve(t)
	p := browsertest.Chromium(t).Open(t, url+"/")
	for _, scheme := range []string{"dark", "light"} {
		if p.SetColorScheme(t, scheme); dark(t, p) != (scheme == "dark") {
			t.Errorf("Chromium does not prefer %s", scheme)
		}
	}
	if !dark(t, browsertest.Firefox(t, map[string]any{"layout.css.prefers-color-scheme.content-override": 0}).Open(t, url+"/")) {
		t.Error("Firefox does not prefer dark")
	}
}

// recorder is a test that keeps its errors and does not fail.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, format)
	for _, a := range args {
		if s, ok := a.(string); ok {
			r.errors = append(r.errors, s)
		}
	}
}

// TestChecks runs the checks on a page that is too wide and hard to read.
func TestChecks(t *testing.T) {
	t.Parallel()
	url := serve(t)
	p := browsertest.Chromium(t).Open(t, url+"/wide")
	p.SetViewport(t, 320, 640)
	r := &recorder{TB: t}
	p.CheckOverflow(r)
	p.CheckAccessible(r)
	for _, want := range []string{"wider than its window", "400px", "image-alt", "color-contrast"} {
		if !strings.Contains(strings.Join(r.errors, "\n"), want) {
			t.Errorf("%s is not in %q", want, r.errors)
		}
	}
	r.errors = nil
	p.Browser.Close(r)
	if len(r.errors) > 0 {
		t.Errorf("a page without errors has some: %q", r.errors)
	}
}
