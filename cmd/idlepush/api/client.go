// Package api is a client of the HTTP API of idlepush, for the demo and for tests. It is a package
// of its own because a test of another package cannot import the program.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"idlepush"
)

// Client makes requests with one token.
type Client struct {
	Base  string // the URL of the API, with /api/v1
	Token string // a bearer token; if empty, requests have none
}

// Keys returns the keys of a receiver in the form of the API.
func Keys(k idlepush.Keys) map[string]any { return map[string]any{"p256dh": k.P256dh, "auth": k.Auth} }

// Post is like Call, with the method POST.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.Call(ctx, http.MethodPost, path, in, out)
}

// Get is like Call, with the method GET and no body.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.Call(ctx, http.MethodGet, path, nil, out)
}

// Call sends in as JSON, unless it is nil, and decodes the answer into out, unless that is nil. It
// returns an error with the text of the answer if the status is not a success.
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
