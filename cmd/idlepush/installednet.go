package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"idlepush"
	"idlepush/clocks"
)

const (
	// dialWait is how long an examination waits for a connection.
	dialWait = 10 * time.Second

	// clockOff is the difference between two clocks from which on it is pointed out. With more than
	// clockWrong, push services refuse what this server signs.
	clockOff   = 30 * time.Second
	clockWrong = 5 * time.Minute
)

// clock compares the clock of this machine with that of a server, by the Date of an answer (RFC
// 9110 section 6.6.1).
func (x installation) clock(ctx context.Context) findings {
	f := findings{subject: "clock"}
	u, err := url.Parse(x.outside.clock)
	if err != nil {
		f.wrong("%v", err)
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	began := time.Now()
	resp, err := getOnce(ctx, x.outside.client, x.outside.clock)
	now := time.Now()
	if err != nil {
		f.uncompared(u.Host, err, now)
		return f
	}
	resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		f.look("it could not be compared: %s tells no time", u.Host)
		return f
	}
	// The Date has whole seconds, and lies between the request and the answer.
	off := began.Add(now.Sub(began) / 2).Sub(date.Add(500 * time.Millisecond))
	words := "ahead of"
	if off < 0 {
		words = "behind"
	}
	switch text := fmt.Sprintf("it is %d s %s that of %s", int(off.Abs().Seconds()), words, u.Host); {
	case off.Abs() > clockWrong:
		f.wrong("%s: set it, and let the machine keep it by NTP", text)
	case off.Abs() > clockOff:
		f.look("%s: let the machine keep it by NTP", text)
	default:
		f.ok("%s", text)
	}
	return f
}

// uncompared says why the clock could not be compared.
func (f *findings) uncompared(host string, err error, now time.Time) {
	if from, ok := clocks.NotYetValid(err, now); ok {
		f.wrong("the certificate of %s is valid from %s on, so this clock is behind: set it, and let the machine keep it by NTP", host, from.UTC().Format(time.DateTime))
		return
	}
	if until, ok := clocks.Expired(err, now); ok {
		f.wrong("the certificate of %s ended on %s, so this clock is probably ahead: set it, and let the machine keep it by NTP", host, until.UTC().Format(time.DateTime))
		return
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		f.look("it could not be compared: the certificate of %s is not trusted, so something between here and there may read along", host)
		return
	}
	f.look("it could not be compared: %s does not answer", host)
}

// dns tells whether names can be resolved.
func (x installation) dns(ctx context.Context) findings {
	f := findings{subject: "DNS"}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	began := time.Now()
	for _, at := range x.outside.hosts {
		host, _, _ := net.SplitHostPort(at)
		if addrs, err := x.outside.lookup(ctx, host); err == nil && len(addrs) > 0 {
			f.add(idlepush.VerdictOK, time.Since(began), "names are resolved")
			return f
		}
	}
	f.wrong("names are not resolved (%s): check the network, and the DNS server of this machine or container", strings.Join(x.outside.hosts, " and "))
	return f
}

// families tells whether mail servers can be reached by IPv4 and IPv6.
func (x installation) families(ctx context.Context) findings {
	f := findings{subject: "network"}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	var four, six time.Duration
	var dials sync.WaitGroup
	dials.Go(func() { four = x.reach(ctx, "tcp4") })
	dials.Go(func() { six = x.reach(ctx, "tcp6") })
	dials.Wait()
	tried := strings.Join(x.outside.hosts, " and ")
	switch {
	case four == 0 && six == 0:
		f.wrong("no mail server can be reached, neither by IPv4 nor by IPv6 (%s): check the network, and whether a firewall closes port 993", tried)
		return f
	case four == 0:
		f.look("mail servers cannot be reached by IPv4 (%s), and some have nothing else", tried)
	default:
		f.add(idlepush.VerdictOK, four, "mail servers can be reached by IPv4")
	}
	if six == 0 {
		f.ok("there is no IPv6, and hardly a mail server that needs it")
	} else {
		f.add(idlepush.VerdictOK, six, "mail servers can be reached by IPv6")
	}
	return f
}

// reach connects to the first host that answers, and returns how long that took; 0: none does.
func (x installation) reach(ctx context.Context, network string) time.Duration {
	for _, at := range x.outside.hosts {
		began := time.Now()
		if conn, err := x.outside.dial(ctx, network, at); err == nil {
			conn.Close()
			return max(time.Since(began), 1)
		}
	}
	return 0
}
