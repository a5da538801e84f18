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

// parse reads a service account's JSON. Its errors hold nothing of the content.
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

// youngest is the age below which a refused access token is not worth renewing: another one would
// be refused as well.
const youngest = time.Minute

// tokens keeps the access token and renews it. x/oauth2 has the same in ReuseTokenSource, but its
// fetch and the wait for another's fetch know no context, so a silent token endpoint would hold up
// every Send.
type tokens struct {
	grant *jwt.Config
	base  http.RoundTripper

	turn    chan struct{} // holds one value while the fields below are in use, or a fetch is under way
	current *oauth2.Token
	fetched time.Time
}

// get returns a valid access token, fetching one when there is none. It returns when ctx ends.
func (t *tokens) get(ctx context.Context) (string, error) {
	if err := t.take(ctx); err != nil {
		return "", err
	}
	defer t.release()
	if t.current.Valid() {
		return t.current.AccessToken, nil
	}
	token, err := t.fetch(ctx)
	if err != nil {
		return "", err
	}
	if !token.Valid() {
		return "", errors.New("the answer holds no valid access token")
	}
	t.current, t.fetched = token, time.Now()
	return token.AccessToken, nil
}

// refused says that FCM did not take the access token, and reports whether get will have another
// one.
func (t *tokens) refused(ctx context.Context, bearer string) bool {
	if t.take(ctx) != nil {
		return false
	}
	defer t.release()
	if t.current == nil || t.current.AccessToken != bearer {
		return true
	}
	if time.Since(t.fetched) < youngest {
		return false
	}
	t.current = nil
	return true
}

func (t *tokens) take(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *tokens) release() { <-t.turn }

// roundTripper is a transport in one function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// fetch gets a new access token. x/oauth2 makes its request without a context, so the client ties
// it to one.
func (t *tokens) fetch(ctx context.Context) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	client := &http.Client{
		Transport:     roundTripper(func(r *http.Request) (*http.Response, error) { return t.base.RoundTrip(r.WithContext(ctx)) }),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return t.grant.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client)).Token()
}
