// Package api calls the daemon's own API, for the demo and the tests. It is a package of its own because the tests' street, which is none of the program's, calls it too.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"idlepush/registry"
)

// Client makes requests as one person, or as a stranger.
type Client struct {
	Base  string // as far as /api/v1
	Token string // a bearer token; empty: a stranger's
}

// Keys are a receiver's keys as the API takes them.
func Keys(k registry.Keys) map[string]any { return map[string]any{"p256dh": k.P256dh, "auth": k.Auth} }

// Post is Call with POST.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.Call(ctx, http.MethodPost, path, in, out)
}

// Get is Call with GET.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.Call(ctx, http.MethodGet, path, nil, out)
}

// Call makes one request with in as its JSON, unless that is nil, and reads the answer into out, unless that is nil. An answer that is no success is an error with
// the problem's words.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
