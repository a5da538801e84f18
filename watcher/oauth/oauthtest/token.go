package oauthtest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/registrytest"
)

// grant is a consent, with all tokens that it gave.
type grant struct {
	client, mailbox string
	redirect        string // of a consent by code
	challenge       string
	expires         time.Time // of the code
	traded          bool      // its code was traded
	offline         bool      // the client requested refresh tokens
	ended           bool
}

// token is an access token or a refresh token.
type token struct {
	*grant
	refresh  bool
	expires  time.Time
	replaced bool // of a refresh token: another one has taken its place
}

// secret returns a random text. Its prefix lets tests find it in logs and files.
func secret() string { return registrytest.SecretMarker + "-" + rand.Text() }

// refusal is an error of RFC 6749 section 5.2.
type refusal struct {
	status      int
	name        string
	description string
}

// verifierForm is that of RFC 7636 section 4.1.
var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// serveToken is the token endpoint.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer, refused := s.trade(r)
	if refused != nil && refused.name != "authorization_pending" {
		s.counts.Refused++
	}
	s.mu.Unlock()
	if refused != nil {
		refused.write(w)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) trade(r *http.Request) (map[string]any, *refusal) {
	client, refused := s.authenticate(r)
	if refused != nil {
		return nil, refused
	}
	form := r.PostForm
	for name, values := range form {
		if len(values) > 1 {
			return nil, &refusal{400, "invalid_request", "the parameter " + name + " is there twice"}
		}
	}
	var g *grant
	switch form.Get("grant_type") {
	case "authorization_code":
		g, refused = s.tradeCode(client, form)
	case "refresh_token":
		g, refused = s.tradeRefresh(client, form.Get("refresh_token"))
	case "urn:ietf:params:oauth:grant-type:device_code":
		g, refused = s.tradeDevice(client, form.Get("device_code"))
	default:
		refused = &refusal{400, "unsupported_grant_type", "no such grant"}
	}
	if refused != nil {
		return nil, refused
	}
	return s.issue(g, form.Get("grant_type") == "refresh_token"), nil
}

// authenticate returns the id of the client that asks. RFC 6749 section 2.3 allows one method only.
func (s *Server) authenticate(r *http.Request) (string, *refusal) {
	unknown := &refusal{401, "invalid_client", "the client is not known"}
	if r.Method != http.MethodPost || r.ParseForm() != nil || r.URL.RawQuery != "" {
		return "", &refusal{400, "invalid_request", "want a form, and nothing in the query"}
	}
	id, given := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		if given != "" {
			return "", &refusal{400, "invalid_request", "the client authenticates twice"}
		}
		var bad error
		id, bad = url.QueryUnescape(user)
		if bad != nil {
			return "", unknown
		}
		if given, bad = url.QueryUnescape(password); bad != nil {
			return "", unknown
		}
	}
	client, known := s.clients[id]
	if !known || subtle.ConstantTimeCompare([]byte(given), []byte(client.secret)) != 1 {
		return "", unknown
	}
	return id, nil
}

func (s *Server) tradeCode(client string, form url.Values) (*grant, *refusal) {
	code, verifier := form.Get("code"), form.Get("code_verifier")
	g := s.codes[code]
	if g == nil || g.client != client || g.ended {
		return nil, &refusal{400, "invalid_grant", "the code is not known"}
	}
	if g.traded {
		// RFC 6749 section 4.1.2: what a code gave is revoked when it is used again.
		g.ended = true
		s.counts.Reused++
		return nil, &refusal{400, "invalid_grant", "the code was used before"}
	}
	hash := sha256.Sum256([]byte(verifier))
	switch {
	case s.now().After(g.expires):
		return nil, &refusal{400, "invalid_grant", "the code has expired"}
	case g.redirect != form.Get("redirect_uri"):
		return nil, &refusal{400, "invalid_grant", "redirect_uri is another one than that of the consent"}
	case !verifierForm.MatchString(verifier) || base64.RawURLEncoding.EncodeToString(hash[:]) != g.challenge:
		return nil, &refusal{400, "invalid_grant", "code_verifier does not fit code_challenge"}
	}
	g.traded = true
	s.counts.Codes++
	return g, nil
}

func (s *Server) tradeRefresh(client, refresh string) (*grant, *refusal) {
	old := s.tokens[refresh]
	switch {
	case old == nil || !old.refresh || old.client != client || old.ended:
		return nil, &refusal{400, "invalid_grant", "the refresh token is not known"}
	case old.replaced:
		s.counts.Reused++
		if s.settings.Rotation == Strict {
			old.ended = true
			return nil, &refusal{400, "invalid_grant", "the refresh token was used before"}
		}
	case s.now().After(old.expires):
		return nil, &refusal{400, "invalid_grant", "the refresh token has expired"}
	}
	old.replaced = s.settings.Rotation != Keep
	old.expires = s.now().Add(s.settings.RefreshLife)
	s.counts.Refreshes++
	return old.grant, nil
}

// issue makes the tokens of a consent.
func (s *Server) issue(g *grant, refreshed bool) map[string]any {
	says := s.settings.Says
	if says == 0 {
		says = s.settings.AccessLife
	}
	access := secret()
	s.tokens[access] = &token{grant: g, expires: s.now().Add(s.settings.AccessLife)}
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int(says.Seconds()), "scope": "imap"}
	if g.offline && !(refreshed && s.settings.Rotation == Keep) {
		refresh := secret()
		s.tokens[refresh] = &token{grant: g, refresh: true, expires: s.now().Add(s.settings.RefreshLife)}
		answer["refresh_token"] = refresh
	}
	return answer
}

// Grant consents for a mailbox without a browser, in the name of a client, and returns the refresh
// token.
func (s *Server) Grant(client, mailbox string) idlepush.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.issue(&grant{client: client, mailbox: mailbox, offline: true, traded: true}, false)
	return idlepush.Secret(answer["refresh_token"].(string))
}

// Revoke ends all consents for a mailbox, as a person does who withdraws them or changes the
// password.
func (s *Server) Revoke(mailbox string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tokens {
		if t.mailbox == mailbox {
			t.ended = true
		}
	}
}

// EndAccess ends all access tokens of a mailbox before their time, and no consent.
func (s *Server) EndAccess(mailbox string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tokens {
		if t.mailbox == mailbox && !t.refresh {
			t.expires = s.now()
		}
	}
}

// Mailbox returns the mailbox that an access token opens; empty: it is not valid.
func (s *Server) Mailbox(access string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[access]
	if t == nil || t.refresh || t.ended || !s.now().Before(t.expires) {
		s.counts.Unknown++
		return ""
	}
	s.counts.Known++
	return t.mailbox
}

// Mailboxes returns the mailboxes for which a consent is valid, sorted.
func (s *Server) Mailboxes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, t := range s.tokens {
		if t.refresh && !t.ended && !t.replaced && s.now().Before(t.expires) && !slices.Contains(all, t.mailbox) {
			all = append(all, t.mailbox)
		}
	}
	slices.Sort(all)
	return all
}

func secretOf(r registration) idlepush.Secret { return idlepush.Secret(r.secret) }

func (r *refusal) write(w http.ResponseWriter) {
	if r.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="oauthtest"`)
	}
	writeJSON(w, r.status, map[string]any{"error": r.name, "error_description": r.description})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
