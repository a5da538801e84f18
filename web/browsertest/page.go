package browsertest

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"idlepush/registry/testenv"
)

//go:embed page.js
var pageJS string

// Page is a tab of a browser.
type Page struct {
	*Browser
	context string
}

// Open opens a tab at the URL and returns when it has loaded.
func (b *Browser) Open(t testing.TB, url string) *Page {
	t.Helper()
	return b.open(t, url, object{"type": "tab"})
}

// OpenIsolated opens a tab like that of another person: it shares no cookies, storage or service
// workers with other tabs.
func (b *Browser) OpenIsolated(t testing.TB, url string) *Page {
	t.Helper()
	var made struct{ UserContext string }
	b.must(t, "browser.createUserContext", object{}, &made)
	return b.open(t, url, object{"type": "tab", "userContext": made.UserContext})
}

func (b *Browser) open(t testing.TB, url string, params object) *Page {
	t.Helper()
	var made struct{ Context string }
	b.must(t, "browsingContext.create", params, &made)
	p := &Page{b, made.Context}
	p.Navigate(t, url)
	return p
}

// Navigate opens the URL in the tab and returns when it has loaded. If only the fragment differs,
// it returns at once.
func (p *Page) Navigate(t testing.TB, url string) {
	t.Helper()
	p.must(t, "browsingContext.navigate", object{"context": p.context, "url": url, "wait": "complete"}, nil)
}

// Reload reloads the page and returns when it has loaded.
func (p *Page) Reload(t testing.TB) {
	t.Helper()
	p.must(t, "browsingContext.reload", object{"context": p.context, "wait": "complete"}, nil)
}

// Activate brings the tab to the front of its window. The other tabs are hidden then.
func (p *Page) Activate(t testing.TB) {
	t.Helper()
	p.must(t, "browsingContext.activate", object{"context": p.context}, nil)
}

// CloseTab closes the tab. Service workers continue to run.
func (p *Page) CloseTab(t testing.TB) {
	t.Helper()
	p.must(t, "browsingContext.close", object{"context": p.context}, nil)
}

// Cookie returns the value of a cookie of the page, or "" if there is no such cookie. It finds
// HttpOnly cookies, too.
func (p *Page) Cookie(t testing.TB, name string) string {
	t.Helper()
	var found struct {
		Cookies []struct{ Value struct{ Value string } }
	}
	p.must(t, "storage.getCookies", object{"filter": object{"name": name}, "partition": object{"type": "context", "context": p.context}}, &found)
	if len(found.Cookies) == 0 {
		return ""
	}
	return found.Cookies[0].Value.Value
}

// SetViewport sets the size of the page in CSS pixels.
func (p *Page) SetViewport(t testing.TB, width, height int) {
	t.Helper()
	p.must(t, "browsingContext.setViewport", object{"context": p.context, "viewport": object{"width": width, "height": height}}, nil)
}

// SetColorScheme sets the color scheme that the user prefers, "light" or "dark". It works in
// Chromium only; Firefox has a preference for it.
func (p *Page) SetColorScheme(t testing.TB, scheme string) {
	t.Helper()
	p.must(t, "emulation.setMediaFeaturesOverride", object{"contexts": []string{p.context}, "features": object{"prefers-color-scheme": scheme}}, nil)
}

// SetLocale sets the language of the browser, such as "en-GB", from the next load on.
func (p *Page) SetLocale(t testing.TB, locale string) {
	t.Helper()
	p.must(t, "emulation.setLocaleOverride", object{"contexts": []string{p.context}, "locale": locale}, nil)
}

// SetUserAgent sets the name of the browser that pages see, from the next load on.
func (p *Page) SetUserAgent(t testing.TB, userAgent string) {
	t.Helper()
	p.must(t, "emulation.setUserAgentOverride", object{"contexts": []string{p.context}, "userAgent": userAgent}, nil)
}

// Screenshot writes a PNG of the viewport, or of the whole page, to path.
func (p *Page) Screenshot(t testing.TB, path string, whole bool) {
	t.Helper()
	origin := "viewport"
	if whole {
		origin = "document"
	}
	var shot struct{ Data string }
	p.must(t, "browsingContext.captureScreenshot", object{"context": p.context, "origin": origin}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Eval calls a JavaScript function in the page, with args as JSON, and decodes its result into out,
// unless that is nil. The function may be async. It runs with user activation, so that it may ask
// for permissions.
func (p *Page) Eval(t testing.TB, out any, function string, args ...any) {
	t.Helper()
	if err := p.eval(testenv.Context(t), out, function, args...); err != nil {
		t.Fatal(err)
	}
}

func (p *Page) eval(ctx context.Context, out any, function string, args ...any) error {
	text, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		return err
	}
	var result struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	err = p.conn.call(ctx, "script.callFunction", object{
		"functionDeclaration": "async args => { const page = " + pageJS + "; return JSON.stringify(await (" + function + ")(...JSON.parse(args))) ?? \"null\" }",
		"awaitPromise":        true, "userActivation": true,
		"target": object{"context": p.context}, "arguments": []object{{"type": "string", "value": string(text)}},
	}, &result)
	switch {
	case err != nil:
		return err
	case result.Type != "success":
		return fmt.Errorf("the page threw: %s", result.ExceptionDetails.Text)
	case out == nil:
		return nil
	}
	return json.Unmarshal([]byte(result.Result.Value), out)
}

// Wait waits until the JavaScript function returns something true, on this page or the next one in
// the tab. what names the condition in the error.
func (p *Page) Wait(t testing.TB, what, function string, args ...any) {
	t.Helper()
	done := false
	p.retry(t, what, func(ctx context.Context) (bool, error) {
		err := p.eval(ctx, &done, "(timeout, ...args) => page.until(async () => await ("+function+")(...args), timeout).then(Boolean)",
			append([]any{pageTimeout.Milliseconds()}, args...)...)
		return done, err
	}, func() string { return "the page says:\n" + p.Text(t) })
}

const (
	// pageTimeout is how long one call waits in the page.
	pageTimeout = time.Second

	// answerTimeout is how long the first call waits for its answer. Firefox sometimes never
	// answers a call whose page is left meanwhile. The machine may also be slow, so the timeout
	// doubles with each call.
	answerTimeout = 5 * time.Second
)

// retry calls try until it returns true. It ends the test with the result of describe when the
// [testenv.Context] of the test ends, or on an error. If the page is left for another one, it
// continues there.
func (p *Page) retry(t testing.TB, what string, try func(context.Context) (bool, error), describe func() string) {
	t.Helper()
	whole := testenv.Context(t)
	next := time.NewTicker(10 * time.Millisecond) // a page that is being left fails at once
	defer next.Stop()
	for timeout := answerTimeout; whole.Err() == nil; <-next.C {
		ctx, cancel := context.WithTimeout(whole, timeout)
		done, err := try(ctx)
		cancel()
		switch {
		case done:
			return
		case errors.Is(err, context.DeadlineExceeded):
			timeout *= 2
		case err != nil && !isPageGone(err):
			t.Fatalf("%s: %v", what, err)
		}
	}
	t.Fatalf("%s: timed out; %s", what, describe())
}

// WaitText waits until the page shows the text.
func (p *Page) WaitText(t testing.TB, text string) {
	t.Helper()
	p.Wait(t, fmt.Sprintf("the page says %q", text), "text => page.words(document.body?.innerText).includes(page.words(text))", text)
}

// Text returns the text that the page shows.
func (p *Page) Text(t testing.TB) (text string) {
	t.Helper()
	p.Eval(t, &text, "() => document.body.innerText")
	return text
}

// Has reports whether the page shows a target now. See [Page.Click] for targets.
func (p *Page) Has(t testing.TB, target string) (has bool) {
	t.Helper()
	p.Eval(t, &has, "target => page.all(target).some(page.shown)", target)
	return has
}

// Click waits until the target can be clicked, and clicks it. A target is the exact accessible name
// of a link, button or field, or "css:" and a selector.
func (p *Page) Click(t testing.TB, target string) {
	t.Helper()
	var err error
	for range 10 { // the page may replace the element meanwhile
		err = p.act(t, object{"type": "pointer", "id": "mouse", "actions": []object{
			{"type": "pointerMove", "x": 0, "y": 0, "origin": object{"type": "element", "element": object{"sharedId": p.locate(t, target)}}},
			{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}}})
		if err == nil || !isPageGone(err) {
			break
		}
	}
	if err != nil {
		t.Fatalf("click %q: %v", target, err)
	}
}

// Type clicks a field and replaces its content with the text. See [Page.Click] for targets.
func (p *Page) Type(t testing.TB, target, text string) {
	t.Helper()
	p.Click(t, target)
	p.Eval(t, nil, "() => document.activeElement.select?.()")
	p.Press(t, []rune(text)...)
}

// Keys for [Page.Press].
const (
	Tab       = '\uE004'
	Enter     = '\uE007'
	Escape    = '\uE00C'
	Backspace = '\uE003'
	Left      = '\uE012'
	Right     = '\uE014'
	Down      = '\uE015'
)

// Drag moves a mouse, or a finger that touches the page, from one target to another. See
// [Page.Click] for targets.
func (p *Page) Drag(t testing.TB, pointer, from, to string) {
	t.Helper()
	p.locate(t, from) // which scrolls there
	point := func(target string) (at struct{ X, Y int }) {
		p.Eval(t, &at, `target => {
			const { left, top, width, height } = page.all(target)[0].getBoundingClientRect();
			return { x: Math.round(left + width / 2), y: Math.round(top + height / 2) };
		}`, target)
		return at
	}
	a, b := point(from), point(to)
	actions := []object{{"type": "pointerMove", "x": a.X, "y": a.Y}, {"type": "pointerDown", "button": 0}}
	const steps = 10
	for i := 1; i <= steps; i++ {
		actions = append(actions, object{"type": "pointerMove", "x": a.X + (b.X-a.X)*i/steps, "y": a.Y + (b.Y-a.Y)*i/steps, "duration": 16})
	}
	actions = append(actions, object{"type": "pointerUp", "button": 0})
	if err := p.act(t, object{"type": "pointer", "id": pointer, "parameters": object{"pointerType": pointer}, "actions": actions}); err != nil {
		t.Fatalf("drag %q to %q: %v", from, to, err)
	}
}

// Press presses keys one after the other, in the element with the focus.
func (p *Page) Press(t testing.TB, keys ...rune) {
	t.Helper()
	p.press(t, strokes(keys))
}

// PressShifted is [Page.Press] with Shift.
func (p *Page) PressShifted(t testing.TB, keys ...rune) {
	t.Helper()
	shift := func(action string) []object { return []object{{"type": action, "value": "\uE008"}} }
	p.press(t, slices.Concat(shift("keyDown"), strokes(keys), shift("keyUp")))
}

func strokes(keys []rune) (actions []object) {
	for _, k := range keys {
		actions = append(actions, object{"type": "keyDown", "value": string(k)}, object{"type": "keyUp", "value": string(k)})
	}
	return actions
}

func (p *Page) press(t testing.TB, actions []object) {
	t.Helper()
	if err := p.act(t, object{"type": "key", "id": "keyboard", "actions": actions}); err != nil {
		t.Fatal(err)
	}
}

func (p *Page) act(t testing.TB, source object) error {
	t.Helper()
	return p.conn.call(testenv.Context(t), "input.performActions", object{"context": p.context, "actions": []object{source}}, nil)
}

// locate waits until a target can be clicked and returns the browser's id of it.
func (p *Page) locate(t testing.TB, target string) string {
	t.Helper()
	var found struct {
		Result struct{ SharedID string }
	}
	p.retry(t, fmt.Sprintf("%q can be clicked", target), func(ctx context.Context) (bool, error) {
		err := p.conn.call(ctx, "script.callFunction", object{
			"functionDeclaration": "(target, timeout) => " + pageJS + ".find(target, timeout)", "awaitPromise": true, "target": object{"context": p.context},
			"arguments": []object{{"type": "string", "value": target}, {"type": "number", "value": pageTimeout.Milliseconds()}},
		}, &found)
		return found.Result.SharedID != "", err
	}, func() string {
		var names []string
		p.Eval(t, &names, "() => page.names()")
		return fmt.Sprintf("these can be clicked: %q; the page says:\n%s", names, p.Text(t))
	})
	return found.Result.SharedID
}
