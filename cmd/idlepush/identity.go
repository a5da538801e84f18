package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// identityPath is the path at which this process answers a question that it has made itself.
const identityPath = "/.well-known/idlepush/"

// identity shows whether a URL leads to this very process: it makes a random question and answers
// it at identityPath, with another random text, while the request for it is under way. Nobody else
// can know a question, and who does learns nothing.
type identity struct {
	mu               sync.Mutex
	question, answer string // empty: there is no question
}

// wrap returns next with the answer.
func (i *identity) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, ok := strings.CutPrefix(r.URL.Path, identityPath)
		if answer := i.answerTo(question); ok && answer != "" && r.Method == http.MethodGet {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, answer)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (i *identity) answerTo(question string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if question == "" || question != i.question {
		return ""
	}
	return i.answer
}

func (i *identity) set(question, answer string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.question, i.answer = question, answer
}

// check asks at the origin, and says what it finds. One check runs at a time.
func (i *identity) check(ctx context.Context, origin string, client *http.Client) (f findings) {
	f.subject = "public URL"
	question, answer := rand.Text(), rand.Text()
	i.set(question, answer)
	defer i.set("", "")
	began := time.Now()
	resp, err := getOnce(ctx, client, origin+identityPath+question)
	if err != nil {
		f.unreached(origin, err)
		return f
	}
	defer resp.Body.Close()
	// A broken answer is not the right one.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	switch to, _ := resp.Location(); {
	case resp.StatusCode == http.StatusOK && string(body) == answer:
		f.list = append(f.list, finding{"ok", f.subject, origin + " leads to this idlepush", time.Since(began)})
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && to != nil:
		f.wrong("%s sends to another address, %s: let public-url be the address itself, or let the server there pass requests on to idlepush", origin, to.Host)
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		f.wrong("something in front of idlepush at %s wants a login (HTTP status %d): apps and the answers of push services do not have it", origin, resp.StatusCode)
	case resp.StatusCode >= 500:
		f.wrong("a proxy answers at %s, and does not reach idlepush (HTTP status %d): let it pass requests on to the address in listen", origin, resp.StatusCode)
	default:
		f.wrong("another server or another idlepush answers at %s (HTTP status %d): let public-url, its DNS and the proxy lead to this one", origin, resp.StatusCode)
	}
	return f
}

// unreached says why no answer comes from the origin. Somebody who answers in another way answers
// phones so, too; whether phones reach it is not known if nobody does.
func (f *findings) unreached(origin string, err error) {
	name, unknown := errors.AsType[*net.DNSError](err)
	bad, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, notTLS := errors.AsType[tls.RecordHeaderError](err)
	failed, network := errors.AsType[*net.OpError](err)
	const proxy = "let the proxy there serve https with a certificate for this name"
	switch {
	case unknown && name.IsNotFound:
		f.wrong("the DNS does not know the host of %s: check public-url, or make the record", origin)
	case unknown:
		f.look("whether %s leads here is not known: the DNS does not answer when asked from this machine", origin)
	case certificate:
		f.wrong("%s answers, but its certificate is not trusted (%v), so phones refuse it, too: get one from an authority that they trust, such as Let's Encrypt", origin, bad.Err)
	case notTLS || errors.Is(err, http.ErrSchemeMismatch):
		f.wrong("%s answers, but without TLS: %s, and check the port in public-url", origin, proxy)
	case network && failed.Op == "remote error":
		f.wrong("%s answers, but offers no TLS for this name (%v): %s", origin, failed.Err, proxy)
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		f.wrong("%s takes the connection and ends it without an answer: %s, and check the port in public-url", origin, proxy)
	default:
		f.look("nobody answers at %s when asked from this machine (%s): if phones reach it, its router may not let machines at home use that address; "+
			"if they do not, check DNS, router and proxy", origin, silence(err))
	}
}

// silence says how nobody answers.
func silence(err error) string {
	errno, ofSystem := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused"
	case ofSystem:
		return errno.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer came in time"
	}
	return err.Error()
}

// getOnce sends a GET request and follows no redirect. The error has no more of the address than
// its host.
func getOnce(ctx context.Context, client *http.Client, address string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := own.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	return resp, err
}
