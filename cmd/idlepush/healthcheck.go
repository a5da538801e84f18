package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// healthWait is how long a daemon that works may take to say so.
const healthWait = 5 * time.Second

// runHealthcheck asks the daemon on this machine whether it works, for what watches over containers
// and services.
func runHealthcheck(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	s, _, err := syntax{command: "idlepush healthcheck", settings: some("listen")}.parse(args, getenv, stdout)
	if err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, healthWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+fromHere(s.listen)+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return fmt.Errorf("idlepush does not answer (%w): start it, or set --listen to the address at which it listens", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("idlepush answers that it does not work (%s): %s", resp.Status, strings.TrimSpace(string(said)))
	}
	_, err = fmt.Fprintln(stdout, "idlepush works")
	return err
}

// fromHere returns the address by which this machine reaches what listens on the address.
func fromHere(listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if at, err := netip.ParseAddr(host); host == "" || err == nil && at == netip.IPv4Unspecified() {
		host = "127.0.0.1"
	} else if err == nil && at == netip.IPv6Unspecified() {
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
