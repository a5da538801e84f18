// Package api is a client of the daemon's HTTP API, for the demo and the tests. It is a package of its
// own because a test cannot import the program.
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

// Client makes requests with one token.
type Client struct {
	Base  string // the URL of the API, with /api/v1
	Token string // a bearer token; if empty, requests have none
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

// Call sends in as JSON, unless it is nil, and decodes the answer into out, unless that is nil. A status
// that is no success is an error with the answer's words.
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
