//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// rowsPerMail is about how many rows and index keys a mail has that rang on one phone.
const rowsPerMail = 10

// kept measures what grows with the mails that are kept: the file, the start, and the calls of the
// API. The largest store has about a million rows.
func kept(ctx context.Context, l *lab) (lines []line, err error) {
	var size, start growth
	costs := make([]growth, len(calls))
	for _, n := range decades(l.count(1_000_000 / rowsPerMail)) {
		h := household{accounts: min(n, 100), phones: 1, service: fcm, kept: true}
		h.mails = n / h.accounts
		if err := l.keep(ctx, h, &size, &start, costs); err != nil {
			return nil, err
		}
	}
	lines = []line{size.line("size of a store that keeps %s mails"), start.line("start until ready, beside %s mails")}
	for i, c := range calls {
		lines = append(lines, costs[i].line("CPU of "+c.name+", beside %s mails"))
	}
	return lines, nil
}

// call is a call of the API. id stands for a notification of somebody.
type call struct {
	name, path string
	token      func(people) string
}

func somebody(p people) string { return p.somebody }
func nobody(p people) string   { return p.nobody }
func admin(people) string      { return adminToken }

var calls = []call{
	{"the first page of a history", "/notifications", somebody},
	{"the first page of an empty history", "/notifications", nobody},
	{"one notification", "/notifications/id", somebody},
	{"the list of mailboxes", "/accounts", somebody},
	{"the list of devices", "/devices", somebody},
	{"the list of people", "/users", admin},
}

// keep measures one store.
func (l *lab) keep(ctx context.Context, h household, size, start *growth, costs []growth) error {
	d, err := l.startDaemon(ctx, l.disk, h, true)
	if err != nil {
		return err
	}
	defer d.stop()
	file, err := os.Stat(filepath.Join(d.data, "idlepush.db"))
	if err != nil {
		return err
	}
	mails := h.accounts * h.mails
	size.add(mails, float64(file.Size()), inMB(file.Size()))
	start.add(mails, float64(d.took), inMs(d.took))
	for i, c := range calls {
		cost, err := d.cost(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		costs[i].add(mails, float64(cost), inMs(cost))
	}
	return nil
}

// cost returns the CPU time of a call.
func (d *daemon) cost(ctx context.Context, c call) (time.Duration, error) {
	const often = 100
	path := c.path
	if path == "/notifications/id" {
		var page struct{ Items []struct{ ID string } }
		text, err := d.get(ctx, "/notifications", c.token(d.people))
		if err != nil {
			return 0, err
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return 0, err
		}
		if len(page.Items) == 0 {
			return 0, errors.New("there is none")
		}
		path = "/notifications/" + page.Items[0].ID
	}
	if err := d.rest(ctx); err != nil {
		return 0, err
	}
	before, err := d.cpu()
	if err != nil {
		return 0, err
	}
	for range often {
		if _, err := d.get(ctx, path, c.token(d.people)); err != nil {
			return 0, err
		}
	}
	after, err := d.cpu()
	return (after - before) / often, err
}

// get calls the API.
func (d *daemon) get(ctx context.Context, path, token string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.origin+"/api/v1"+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", resp.Status, text)
	}
	return text, err
}
