package browsertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idlepush/registry/testenv"
)

// NoOverflow holds the page to fitting its width: nobody should have to scroll sideways to read it.
func (p *Page) NoOverflow(t testing.TB) {
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

// Accessible holds the page to axe-core's rules, all of them: no violation. Where "npm ci --ignore-scripts" has not been run in this folder the test is skipped, or fails; see
// testenv.Missing.
func (p *Page) Accessible(t testing.TB) {
	t.Helper()
	var there bool
	p.Eval(t, &there, "() => typeof axe == 'object'")
	if !there {
		// An evaluation is not subject to the page's Content-Security-Policy, as a script element would be.
		err := p.wire.call(testenv.Context(t), "script.evaluate", object{"expression": axe(t), "awaitPromise": false, "resultOwnership": "none", "target": object{"context": p.context},
			"serializationOptions": object{"maxObjectDepth": 0}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	var violations []string
	// Colours are measured when they have arrived, not in the middle of a transition.
	p.Eval(t, &violations, `async () => {
		await Promise.all(document.getAnimations().filter(a => a.effect?.getComputedTiming().endTime < 10000).map(a => a.finished.catch(() => {})));
		const found = await axe.run(document, { resultTypes: ["violations"] });
		return found.violations.map(v => v.id + ": " + v.help + v.nodes.map(n => "\n    " + n.html.slice(0, 300) + "\n      " + (n.failureSummary ?? "").replace(/\s+/g, " ")).join(""));
	}`)
	for _, v := range violations {
		t.Errorf("axe: %s", v)
	}
}

// axe reads axe-core from where npm has put it.
func axe(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	for ; err == nil; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			break
		}
		if folder == filepath.Dir(folder) {
			t.Fatal("this test does not run in the project")
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, "web", "browsertest", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		testenv.Missing(t, `axe-core is not there: run "npm ci --ignore-scripts" in web/browsertest`)
	}
	return string(text)
}
