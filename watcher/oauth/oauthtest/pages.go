package oauthtest

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// page is what a person is shown, who has to log in and then to consent.
type page struct {
	Secret  string // in its form
	Client  string
	Hint    string // the mailbox that the client asks for
	Error   string
	Devices bool     // the person comes with a user code
	Code    string   // the user code
	Choices []string // mailboxes; empty: the person has not logged in yet

	redirect, state, challenge string
	offline                    bool
}

const authorizePath = "/authorize"

// codeLife is short, as RFC 6749 section 4.1.2 recommends.
const codeLife = time.Minute

var pageForm = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title><meta name="viewport" content="width=device-width"></head>
<body><main><h1>Sign in</h1>
{{if .Error}}<p role="alert">{{.Error}}</p>{{end}}
<form method="post">
<input type="hidden" name="page" value="{{.Secret}}">
{{if .Choices}}
<p>{{.Client}} wants to read your mail.</p>
<fieldset><legend>Mailbox</legend>
{{range .Choices}}<label><input type="radio" name="mailbox" value="{{.}}" required{{if eq . $.Hint}} checked{{end}}> {{.}}</label> {{end}}
</fieldset>
<button name="answer" value="allow">Allow</button>
<button name="answer" value="decline" formnovalidate>Decline</button>
{{else}}
{{if .Devices}}<label>Code <input name="code" value="{{.Code}}" required></label>{{end}}
<label>Name <input name="name" value="{{.Hint}}" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button name="answer" value="login">Next</button>
{{end}}
</form></main></body></html>
`))

var pageText = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.}}</title></head><body><main><p role="status">{{.}}</p></main></body></html>
`))

func show(w http.ResponseWriter, status int, form *template.Template, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'")
	w.WriteHeader(status)
	form.Execute(w, data)
}

// serveAuthorize is the authorization endpoint (RFC 6749 section 4.1.1).
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	client, known := s.clients[q.Get("client_id")]
	switch {
	case !known:
		show(w, http.StatusBadRequest, pageText, "The client is not known.")
		return
	case !slices.Contains(client.redirects, q.Get("redirect_uri")):
		// The browser must not be sent there (section 4.1.2.1).
		show(w, http.StatusBadRequest, pageText, "The redirect URL is not registered.")
		return
	}
	scopes := strings.Fields(q.Get("scope"))
	p := &page{Secret: secret(), Client: q.Get("client_id"), Hint: q.Get("login_hint"), redirect: q.Get("redirect_uri"), state: q.Get("state"), challenge: q.Get("code_challenge"),
		offline: slices.Contains(scopes, "offline_access") && (!s.settings.OnlineOnly || q.Get("access_type") == "offline")}
	switch {
	case q.Get("response_type") != "code":
		s.back(w, r, p, url.Values{"error": {"unsupported_response_type"}})
	case q.Get("code_challenge_method") != "S256" || len(p.challenge) != 43:
		s.back(w, r, p, url.Values{"error": {"invalid_request"}, "error_description": {"want a code challenge by S256"}})
	case len(p.state) < 16:
		s.back(w, r, p, url.Values{"error": {"invalid_request"}, "error_description": {"want a state that cannot be guessed"}})
	case !slices.Contains(scopes, "imap"):
		s.back(w, r, p, url.Values{"error": {"invalid_scope"}})
	default:
		s.pages[p.Secret] = p
		show(w, http.StatusOK, pageForm, p)
	}
}

// serveEnter shows the page on which people enter a user code (RFC 8628 section 3.3).
func (s *Server) serveEnter(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &page{Secret: secret(), Client: "A device", Devices: true, Code: r.URL.Query().Get("code")}
	s.pages[p.Secret] = p
	show(w, http.StatusOK, pageForm, p)
}

// servePage takes what a person has entered into a page.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[r.PostFormValue("page")]
	if p == nil {
		show(w, http.StatusBadRequest, pageText, "This page is too old.")
		return
	}
	mailbox := r.PostFormValue("mailbox")
	switch answer := r.PostFormValue("answer"); {
	case len(p.Choices) == 0 && answer == "login":
		s.logIn(w, r, p)
		return
	case len(p.Choices) > 0 && answer == "decline":
		mailbox = ""
	case len(p.Choices) > 0 && answer == "allow" && slices.Contains(p.Choices, mailbox):
	default:
		show(w, http.StatusBadRequest, pageText, "This is no answer.")
		return
	}
	delete(s.pages, p.Secret)
	switch {
	case p.Devices && s.consentTo(p.Code, mailbox) != nil:
		show(w, http.StatusBadRequest, pageText, "The code is not known.")
	case p.Devices:
		show(w, http.StatusOK, pageText, "Done. You can close this page.")
	case mailbox == "":
		s.back(w, r, p, url.Values{"error": {"access_denied"}})
	default:
		code := secret()
		s.codes[code] = &grant{client: p.Client, mailbox: mailbox, redirect: p.redirect, challenge: p.challenge, expires: s.now().Add(codeLife), offline: p.offline}
		s.back(w, r, p, url.Values{"code": {code}})
	}
}

func (s *Server) logIn(w http.ResponseWriter, r *http.Request, p *page) {
	name := r.PostFormValue("name")
	i := slices.IndexFunc(s.people, func(o Person) bool { return o.Name == name && o.Password == r.PostFormValue("password") })
	if i < 0 {
		p.Error = "The name or the password is wrong."
		show(w, http.StatusOK, pageForm, p)
		return
	}
	p.Error, p.Choices = "", s.people[i].Mailboxes
	if p.Devices {
		p.Code = strings.ToUpper(strings.TrimSpace(r.PostFormValue("code")))
	}
	show(w, http.StatusOK, pageForm, p)
}

// back sends the browser to the client, with the name of this server (RFC 9207).
func (s *Server) back(w http.ResponseWriter, r *http.Request, p *page, answer url.Values) {
	answer.Set("state", p.state)
	answer.Set("iss", s.Issuer)
	separator := "?"
	if strings.Contains(p.redirect, "?") {
		separator = "&"
	}
	http.Redirect(w, r, p.redirect+separator+answer.Encode(), http.StatusSeeOther)
}
