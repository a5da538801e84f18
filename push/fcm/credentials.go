package fcm

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/jwt"
)

// scope is what FCM asks for. https://firebase.google.com/docs/cloud-messaging/auth-server
const scope = "https://www.googleapis.com/auth/firebase.messaging"

// account is a service account of one Firebase project.
type account struct {
	project string
	grant   *jwt.Config // the JWT bearer grant (RFC 7523) that gets an access token
}

// wanted is what a person has to put into the setting.
const wanted = "want the JSON key file of a service account (Firebase console, Project settings, Service accounts, Generate new private key)"

// Project ids are lower case letters, digits and hyphens; the oldest ones carry a domain. They
// become part of a URL.
var projectID = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]*$`)

// parse reads a service account's JSON. Its errors contain nothing of it.
func parse(credentials []byte) (*account, error) {
	var file struct {
		Type       string `json:"type"`
		ProjectID  string `json:"project_id"`
		Email      string `json:"client_email"`
		PrivateKey string `json:"private_key"`
		TokenURI   string `json:"token_uri"`
	}
	if err := json.Unmarshal(credentials, &file); err != nil {
		return nil, errors.New(wanted + "; this is not JSON of that form")
	}
	missing := ""
	switch {
	case file.Type != "service_account":
		missing = `its "type" must be "service_account", as google-services.json and other files are not`
	case !projectID.MatchString(file.ProjectID):
		missing = `its "project_id" is missing or not a project id`
	case file.Email == "":
		missing = `its "client_email" is missing`
	case !isRSA(file.PrivateKey):
		missing = `its "private_key" is missing or not an RSA key in PEM`
	case file.TokenURI != "" && !isHTTP(file.TokenURI):
		missing = `its "token_uri" is not a URL`
	}
	if missing != "" {
		return nil, fmt.Errorf("%s; %s", wanted, missing)
	}
	grant, err := google.JWTConfigFromJSON(credentials, scope)
	if err != nil {
		return nil, errors.New(wanted + "; this one cannot be used to sign in")
	}
	return &account{project: file.ProjectID, grant: grant}, nil
}

func isRSA(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return true
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return false
	}
	_, ok := key.(*rsa.PrivateKey)
	return ok
}

func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// minRenewAge is the age from which a refused access token is renewed. FCM would refuse a new one
// just as it refused a younger one.
const minRenewAge = time.Minute

// expiryMargin is how long before its end an access token is no longer used.
const expiryMargin = 10 * time.Second

// tokens caches the access token and renews it. ReuseTokenSource of x/oauth2 does so too, but takes
// no context, so a token endpoint that does not answer would block every Send.
type tokens struct {
	grant *jwt.Config
	base  http.RoundTripper

	lock    chan struct{} // of the fields below and of fetch; it holds a value while locked
	current *oauth2.Token
	fetched time.Time // without monotonic reading, like the expiry of current
}

// valid reports whether the token may be used at now. One from the future, before the clock was set
// back, may not: its expiry is not known.
func (t *tokens) valid(now time.Time) bool {
	return t.current != nil && !now.Before(t.fetched) && (t.current.Expiry.IsZero() || now.Before(t.current.Expiry.Add(-expiryMargin)))
}

// get returns a valid access token. If necessary it fetches one, for at most attemptTimeout, and
// returns early if ctx ends.
func (t *tokens) get(ctx context.Context) (string, error) {
	if err := t.acquire(ctx); err != nil {
		return "", err
	}
	defer t.release()
	if t.valid(time.Now()) {
		return t.current.AccessToken, nil
	}
	token, err := t.fetch(ctx)
	if err != nil {
		return "", err
	}
	if !token.Valid() {
		return "", errors.New("the answer holds no valid access token")
	}
	token.Expiry = token.Expiry.Round(0)
	t.current, t.fetched = token, time.Now().Round(0)
	return token.AccessToken, nil
}

// refused records that FCM refused the access token, and reports whether get will return another
// one.
func (t *tokens) refused(ctx context.Context, bearer string) bool {
	if t.acquire(ctx) != nil {
		return false
	}
	defer t.release()
	if t.current == nil || t.current.AccessToken != bearer {
		return true
	}
	if age := time.Since(t.fetched); age >= 0 && age < minRenewAge {
		return false
	}
	t.current = nil
	return true
}

func (t *tokens) acquire(ctx context.Context) error {
	select {
	case t.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *tokens) release() { <-t.lock }

// roundTripper is a function that implements http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// fetch gets a new access token. x/oauth2 makes its request without a context, so the client adds
// one. It also keeps why there was no answer, of which x/oauth2 keeps the text only.
func (t *tokens) fetch(ctx context.Context) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	var unanswered error
	client := &http.Client{
		Transport: roundTripper(func(r *http.Request) (resp *http.Response, err error) {
			resp, err = t.base.RoundTrip(r.WithContext(ctx))
			unanswered = err
			return resp, err
		}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	token, err := t.grant.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client)).Token()
	if err != nil {
		return nil, errors.Join(err, unanswered)
	}
	return token, nil
}
