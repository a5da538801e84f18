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
	"testing"
	"time"

	"idlepush/registry/testenv"
)

//go:embed page.js
var pageJS string

// Page is a tab.
type Page struct {
	*Browser
	context string
}

// Open opens a tab at the URL and returns when it has loaded.
func (b *Browser) Open(t testing.TB, url string) *Page {
	t.Helper()
	return b.open(t, url, object{"type": "tab"})
}

// OpenApart opens a tab that shares neither cookies nor storage nor service workers with any other: another person's browser.
func (b *Browser) OpenApart(t testing.TB, url string) *Page {
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

// Navigate goes to the URL and returns when it has loaded; to another fragment of the same page: at once.
func (p *Page) Navigate(t testing.TB, url string) {
	t.Helper()
	p.must(t, "browsingContext.navigate", object{"context": p.context, "url": url, "wait": "complete"}, nil)
}

// Reload loads the page anew.
func (p *Page) Reload(t testing.TB) {
	t.Helper()
	p.must(t, "browsingContext.reload", object{"context": p.context, "wait": "complete"}, nil)
}

// Show brings the tab before the others of its window, which are hidden then.
func (p *Page) Show(t testing.TB) {
	t.Helper()
	p.must(t, "browsingContext.activate", object{"context": p.context}, nil)
}

// CloseTab closes the tab; service workers live on.
func (p *Page) CloseTab(t testing.TB) {
	t.Helper()
	p.must(t, "browsingContext.close", object{"context": p.context}, nil)
}

// Cookie is the value of the page's cookie, also one that the page itself cannot read; empty: there is none.
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

// Viewport sets the size of the page in CSS pixels.
func (p *Page) Viewport(t testing.TB, width, height int) {
	t.Helper()
	p.must(t, "browsingContext.setViewport", object{"context": p.context, "viewport": object{"width": width, "height": height}}, nil)
}

// Scheme makes the page see that its reader prefers "light" or "dark". Chromium only; Firefox has a preference for it.
func (p *Page) Scheme(t testing.TB, scheme string) {
	t.Helper()
	p.must(t, "emulation.setMediaFeaturesOverride", object{"contexts": []string{p.context}, "features": object{"prefers-color-scheme": scheme}}, nil)
}

// As makes the page see another browser's name from the next load on.
func (p *Page) As(t testing.TB, userAgent string) {
	t.Helper()
	p.must(t, "emulation.setUserAgentOverride", object{"contexts": []string{p.context}, "userAgent": userAgent}, nil)
}

// Screenshot writes a PNG of the viewport, or of the whole page.
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

// Eval calls a JavaScript function, which may be async, in the page with JSON arguments and reads its result into out, unless that is nil. It counts as done by a person:
// the function may ask for permissions.
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
	err = p.wire.call(ctx, "script.callFunction", object{
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

// Wait waits until the JavaScript function returns something true, on this page or the one it leads to.
func (p *Page) Wait(t testing.TB, what, function string, args ...any) {
	t.Helper()
	so := false
	p.persist(t, what, func(ctx context.Context) (bool, error) {
		err := p.eval(ctx, &so, "(turn, ...args) => page.until(async () => await ("+function+")(...args), turn).then(Boolean)",
			append([]any{turn.Milliseconds()}, args...)...)
		return so, err
	}, func() string { return "the page says:\n" + p.Text(t) })
}

// turn is how long one call waits in the page, and answerIn how long its answer may take at first: Firefox at times never answers a call whose page is left
// meanwhile. After each that was not answered, which may be because the machine is slow, the next may take twice as long.
const (
	turn     = time.Second
	answerIn = 5 * time.Second
)

// persist makes calls, each of which waits for a turn in the page, until one has succeeded, or for as long as anything may take; then it ends the test with what is
// seen instead. When the page is left for another, it goes on there.
func (p *Page) persist(t testing.TB, what string, try func(context.Context) (bool, error), seen func() string) {
	t.Helper()
	all := testenv.Context(t)
	next := time.NewTicker(10 * time.Millisecond) // a page that is being left refuses at once
	defer next.Stop()
	for limit := answerIn; all.Err() == nil; <-next.C {
		ctx, cancel := context.WithTimeout(all, limit)
		done, err := try(ctx)
		cancel()
		switch {
		case done:
			return
		case errors.Is(err, context.DeadlineExceeded):
			limit *= 2
		case err != nil && !moved(err):
			t.Fatalf("%s: %v", what, err)
		}
	}
	t.Fatalf("%s: still not so; %s", what, seen())
}

// WaitText waits until a text is shown.
func (p *Page) WaitText(t testing.TB, text string) {
	t.Helper()
	p.Wait(t, fmt.Sprintf("the page says %q", text), "text => page.words(document.body?.innerText).includes(page.words(text))", text)
}

// Text is what the page shows, as a person reads it.
func (p *Page) Text(t testing.TB) (text string) {
	t.Helper()
	p.Eval(t, &text, "() => document.body.innerText")
	return text
}

// Has reports whether a target (see Click) is shown now.
func (p *Page) Has(t testing.TB, target string) (has bool) {
	t.Helper()
	p.Eval(t, &has, "target => page.all(target).some(page.shown)", target)
	return has
}

// Click waits until the target can be hit, and clicks it. A target is the accessible name of a link, button or field, whole and exact; or "css:" and a selector.
func (p *Page) Click(t testing.TB, target string) {
	t.Helper()
	var err error
	for range 10 { // a page that is drawn anew may put another in its place meanwhile
		err = p.act(t, object{"type": "pointer", "id": "mouse", "actions": []object{
			{"type": "pointerMove", "x": 0, "y": 0, "origin": object{"type": "element", "element": object{"sharedId": p.locate(t, target)}}},
			{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}}})
		if err == nil || !moved(err) {
			break
		}
	}
	if err != nil {
		t.Fatalf("click %q: %v", target, err)
	}
}

// Type clicks a field (see Click) and types the text in place of what it holds.
func (p *Page) Type(t testing.TB, target, text string) {
	t.Helper()
	p.Click(t, target)
	p.Eval(t, nil, "() => document.activeElement.select?.()")
	p.Press(t, []rune(text)...)
}

// Keys for Press.
const (
	Tab       = '\uE004'
	Enter     = '\uE007'
	Escape    = '\uE00C'
	Backspace = '\uE003'
)

// Press presses keys one after the other, wherever the focus is.
func (p *Page) Press(t testing.TB, keys ...rune) {
	t.Helper()
	var actions []object
	for _, k := range keys {
		actions = append(actions, object{"type": "keyDown", "value": string(k)}, object{"type": "keyUp", "value": string(k)})
	}
	if err := p.act(t, object{"type": "key", "id": "keyboard", "actions": actions}); err != nil {
		t.Fatal(err)
	}
}

func (p *Page) act(t testing.TB, source object) error {
	t.Helper()
	return p.wire.call(testenv.Context(t), "input.performActions", object{"context": p.context, "actions": []object{source}}, nil)
}

// locate waits until a target can be hit and gives the browser's name for it.
func (p *Page) locate(t testing.TB, target string) string {
	t.Helper()
	var found struct {
		Result struct{ SharedID string }
	}
	p.persist(t, fmt.Sprintf("something called %q can be clicked", target), func(ctx context.Context) (bool, error) {
		err := p.wire.call(ctx, "script.callFunction", object{
			"functionDeclaration": "(target, patience) => " + pageJS + ".find(target, patience)", "awaitPromise": true, "target": object{"context": p.context},
			"arguments": []object{{"type": "string", "value": target}, {"type": "number", "value": turn.Milliseconds()}},
		}, &found)
		return found.Result.SharedID != "", err
	}, func() string {
		var names []string
		p.Eval(t, &names, "() => page.names()")
		return fmt.Sprintf("what can be clicked is called %q; the page says:\n%s", names, p.Text(t))
	})
	return found.Result.SharedID
}
