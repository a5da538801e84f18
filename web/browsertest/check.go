package browsertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idlepush/registry/testenv"
)

// CheckOverflow fails the test if the page is wider than its window, so that one must scroll to
// read it.
func (p *Page) CheckOverflow(t testing.TB) {
	t.Helper()
	var wide []string
	p.Eval(t, &wide, `() => {
		const root = document.documentElement, width = root.clientWidth;
		if (root.scrollWidth <= width && document.body.scrollWidth <= width) return [];
		const out = [...document.body.querySelectorAll("*")].filter(e => page.shown(e) && e.getBoundingClientRect().right > width + 0.5);
		return [root.scrollWidth + " px are in " + width, ...out.slice(0, 10).map(e => e.cloneNode().outerHTML)];
	}`)
	if len(wide) > 0 {
		t.Errorf("the page is wider than its window: %s", strings.Join(wide, "\n  "))
	}
}

// CheckAccessible fails the test for each violation of a rule of axe-core. If axe-core is not
// installed, it ends the test like [testenv.Missing]; "npm ci --ignore-scripts" in this folder
// installs it.
func (p *Page) CheckAccessible(t testing.TB) {
	t.Helper()
	var loaded bool
	p.Eval(t, &loaded, "() => typeof axe == 'object'")
	if !loaded {
		// The page's Content-Security-Policy would forbid a script element, but not this.
		err := p.conn.call(testenv.Context(t), "script.evaluate", object{"expression": axe(t), "awaitPromise": false, "resultOwnership": "none", "target": object{"context": p.context},
			"serializationOptions": object{"maxObjectDepth": 0}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	var violations []string
	// Colors are measured after all transitions.
	p.Eval(t, &violations, `async () => {
		await Promise.all(document.getAnimations().filter(a => a.effect?.getComputedTiming().endTime < 10000).map(a => a.finished.catch(() => {})));
		const found = await axe.run(document, { resultTypes: ["violations"] });
		return found.violations.map(v => v.id + ": " + v.help + v.nodes.map(n => "\n    " + n.html.slice(0, 300) + "\n      " + (n.failureSummary ?? "").replace(/\s+/g, " ")).join(""));
	}`)
	for _, v := range violations {
		t.Errorf("axe: %s", v)
	}
}

// axe returns the source of axe-core.
func axe(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	for ; err == nil; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			break
		}
		if folder == filepath.Dir(folder) {
			t.Fatal("the test does not run inside the repository")
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, "web", "browsertest", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		testenv.Missing(t, `axe-core is not installed: run "npm ci --ignore-scripts" in web/browsertest`)
	}
	return string(text)
}
