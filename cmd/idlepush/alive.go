package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"idlepush/netguard"
	"idlepush/promise"
)

const (
	aliveEvery   = time.Minute      // between two calls while all is well
	aliveLook    = 20 * time.Second // between two looks at the promises
	aliveTimeout = 10 * time.Second // of one call
)

// deadMan calls a URL each minute while all is well. A monitor that expects the calls notices when
// they stop.
type deadMan struct {
	broken func(now time.Time) []promise.Broken
	call   func(ctx context.Context, broken string) error // with "" if all is well
	log    *slog.Logger

	tried, told string    // the codes of the last call, and of the last answered one
	last        time.Time // of the last call
	failed      bool      // whether the last call was not answered
}

// deadMan returns what calls the URL of the settings.
func (s settings) deadMan(c *core) *deadMan {
	return &deadMan{broken: c.house.broken, call: aliveCall(string(s.monitoring.alive), s.allowPush.Permit, c.around.dial), log: c.log}
}

// run calls until ctx ends. The first call that all is well comes after a minute, so that a program
// that ends and starts over and over is noticed.
func (d *deadMan) run(ctx context.Context) {
	d.last = time.Now()
	ticker := time.NewTicker(aliveLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.look(ctx, time.Now())
		}
	}
}

// look calls the URL each minute while all is well, and once when something breaks or is mended. A
// call that was not answered is made again after a minute.
func (d *deadMan) look(ctx context.Context, now time.Time) {
	broken := counted(d.broken(now))
	switch {
	case broken != "" && d.tried == "":
		d.log.Warn("a promise is broken: /fail below alive-url is called, and alive-url itself only once all is well again", "broken", broken)
	case broken == "" && d.tried != "":
		d.log.Info("all is well again: alive-url is called each minute")
	}
	if broken == d.tried && (now.Sub(d.last) < aliveEvery || broken != "" && broken == d.told) {
		return
	}
	d.tried, d.last = broken, now
	err := d.call(ctx, broken)
	switch {
	case err != nil && !d.failed:
		d.log.Warn("alive-url does not answer as it should: tried again each minute", "err", err)
	case err == nil && d.failed:
		d.log.Info("alive-url answers again")
	}
	if d.failed = err != nil; err == nil {
		d.told = broken
	}
}

// counted returns the codes of the broken promises and how often each occurs, such as
// "mailbox_down 2".
func counted(list []promise.Broken) string {
	count := promise.Count(list)
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%s %d", c, count[c]))
	}
	return strings.Join(parts, ", ")
}

// aliveCall returns a function that calls the URL, or /fail below it if something is broken. Its
// errors do not name the URL. dial takes the place of the network, unless it is nil.
func aliveCall(address string, permit netguard.Permit, dial netguard.DialFunc) func(ctx context.Context, broken string) error {
	u, err := url.Parse(address)
	if err != nil {
		panic("alive-url was not checked")
	}
	if dial == nil {
		dial = netguard.Guard(net.Dialer{}, permit, u.Scheme == "http")
	}
	client := &http.Client{
		Timeout: aliveTimeout,
		Transport: &http.Transport{
			DialContext:       dial,
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, broken string) error {
		to := u
		if broken != "" {
			to = u.JoinPath("fail")
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(broken))
		if err != nil {
			return errors.New("it is no address")
		}
		resp, err := client.Do(r)
		if bad, ok := errors.AsType[*url.Error](err); ok {
			err = bad.Err
		}
		if errors.Is(err, netguard.ErrPrivate) || errors.Is(err, netguard.ErrPlain) {
			return fmt.Errorf("%w: add its host and port to allow-push", err)
		}
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("it answers %d", resp.StatusCode)
		}
		return nil
	}
}

// checkAliveURL checks an address that is to be called.
func checkAliveURL(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("want an https address, such as https://hc-ping.com/ with the id of a check; http: is only for hosts of allow-push")
	}
	return nil
}
