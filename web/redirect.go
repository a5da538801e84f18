package web

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"time"

	"idlepush/codes"
	"idlepush/registry"
)

// consentPage is the view of the page that shows a consent; its id follows.
const consentPage = "/#/sign-in/"

// sorryPage says why a browser that comes from a provider gets no further: %s is the sentence, as
// HTML. It is a page of its own because this browser may not be logged in. It is no html/template,
// whose calls by reflection keep the linker from dropping any method of the program.
const sorryPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>idlepush</title>
<link rel="stylesheet" href="/style.css">
<main>
<h1>idlepush</h1>
<p>%s</p>
<p><a class="button" href="/#/mailboxes">Mailboxes</a></p>
</main>
`

// comeBack takes a browser that a provider has sent back (RFC 6749 section 4.1.2). Only the session
// that began the consent gets further.
func (s *Server) comeBack(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	id, err := s.signIn.comeBack(r, s.guard)
	code, status := codes.Code("consent_gone"), http.StatusGone
	switch {
	case err == nil:
		http.Redirect(w, r, consentPage+id, http.StatusSeeOther)
		return
	case errors.Is(err, errOtherSession), errors.Is(err, registry.ErrDenied):
		code, status = "consent_other_session", http.StatusForbidden
	case !errors.Is(err, errNoConsent):
		s.log.Error("request failed", "method", r.Method, "path", redirectPath, "err", err)
		code, status = "internal", http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, sorryPage, html.EscapeString(sentences.Sentence(code, nil)))
}

// comeBack hands what a browser brings back to run, and returns the id of its consent.
func (h *consentHandlers) comeBack(r *http.Request, g *guard) (id string, err error) {
	c, err := g.session(cookieOf(r, cookieName), true)
	if err != nil {
		return "", err
	}
	answer := r.URL.Query()
	is, err := h.waiting.answer(answer.Get("state"), c.token.ID, time.Now())
	if err != nil {
		return "", err
	}
	return is.id, h.hand(r.Context(), work{is, answer})
}
