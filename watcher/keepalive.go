package watcher

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"idlepush/registry"
)

// How long one IDLE lasts, which is also how long a connection may be silent, is learned per host, by all accounts on it. It begins with what is known
// of a provider, else with usualInterval: Mailtraq closes at 600 s and many NAT gateways forget at 15 min.
const (
	usualInterval    = 9 * time.Minute
	shortestInterval = time.Minute
	longestInterval  = 28 * time.Minute // RFC 2177: a client must come again before 30 min
	pollInterval     = 55 * time.Second // where IDLE is no use; Coremail wants a command every minute
	doubtInterval    = 90 * time.Second // where IDLE is not believed

	deathsToLearn = 3                   // connections that died after similar silence make the interval shorter
	oneEvent      = 2 * time.Minute     // what dies within it dies of one cause, such as a server that starts again
	deathsForget  = 24 * time.Hour      // they are no row if they lie further apart
	quietToLearn  = 7 * 24 * time.Hour  // so long without a death makes it longer
	quietToDare   = 28 * 24 * time.Hour // and so long makes it longer than what once killed
	liesToDoubt   = 3                   // mails that IDLE did not tell of
	doubtLasts    = 7 * 24 * time.Hour  // then IDLE is given another chance
	lateBy        = 90 * time.Second    // a mail that lay there so long and was not told of
)

// provider is what is known of the servers of one.
type provider struct {
	domains  []string      // of the host
	interval time.Duration // of IDLE; zero: the usual
	polled   bool          // its IDLE tells nothing
	life     time.Duration // it cuts sessions somewhat older than this; zero: it does not
}

// providers are facts that change: what is learned comes before them. Sources: FairEmail's and EmailEngine's lists, Google's IMAP page.
var providers = []provider{
	{domains: []string{"yahoo.com", "yahoodns.net", "aol.com"}, interval: 3 * time.Minute},
	{domains: []string{"rambler.ru"}, interval: 55 * time.Second},
	{domains: []string{"gmx.net", "gmx.com", "gmx.de", "web.de", "ionos.de", "ionos.com", "1und1.de"}, interval: 12 * time.Minute},
	{domains: []string{"me.com", "icloud.com"}, interval: 4 * time.Minute},
	{domains: []string{"163.com", "126.com", "yeah.net", "188.com", "naver.com"}, polled: true},
	{domains: []string{"gmail.com", "googlemail.com", "google.com"}, life: 23 * time.Hour},
}

func providerOf(host string) provider {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, p := range providers {
		if slices.ContainsFunc(p.domains, func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) }) {
			return p
		}
	}
	return provider{}
}

// interval is how long an IDLE may last at most, and why.
func interval(p provider, h registry.Host) (d time.Duration, why string) {
	switch {
	case h.Interval > 0 && h.Deadly > 0:
		return h.Interval, fmt.Sprintf("connections to this server that were silent for %s died", spoken(h.Deadly))
	case h.Interval > 0:
		return h.Interval, "shorter ones have held for a week or more"
	case p.interval > 0:
		return p.interval, "this is what its provider is known to bear"
	}
	return usualInterval, "this is the usual one: nothing else is known of this server"
}

func spoken(d time.Duration) string { return d.Round(time.Second).String() }

// early takes up to a tenth of an interval away, so that not all come at once, and none too late.
func early(d time.Duration) time.Duration { return d - rand.N(d/10+1) }

// died learns from a connection that was lost after it had been silent for so long. unanswered: it was gone by then, and nobody knows since when.
func died(p provider, h registry.Host, silence time.Duration, unanswered bool, now time.Time) registry.Host {
	if silence < shortestInterval*3/4 || !h.Died.IsZero() && now.Sub(h.Died) < oneEvent {
		return h
	}
	if now.Sub(h.Died) > deathsForget {
		h.Deaths = nil
	}
	h.Died = now
	h.Deaths = slices.DeleteFunc(slices.Clone(h.Deaths), func(d time.Duration) bool { return (d - silence).Abs() > silence/10 })
	h.Deaths = append(h.Deaths, silence)
	if len(h.Deaths) < deathsToLearn {
		return h
	}
	deadly := slices.Min(h.Deaths)
	next := deadly * 8 / 10
	if unanswered {
		next = deadly / 2
	}
	now0, _ := interval(p, h)
	next = max(shortestInterval, min(next, longestInterval))
	if next < now0 {
		h.Interval, h.Since, h.Deadly = next, now, deadly
	}
	h.Deaths = nil
	return h
}

// held learns from an IDLE that the server answered for at its end: nothing dies of that much silence. whole: it lasted the whole interval.
func held(p provider, h registry.Host, silence time.Duration, whole bool, now time.Time) registry.Host {
	h.Deaths = slices.DeleteFunc(slices.Clone(h.Deaths), func(d time.Duration) bool { return d <= silence })
	if !whole {
		return h
	}
	h.Deaths = nil
	if h.Since.IsZero() {
		h.Since = now
	}
	if now.Sub(h.Since) < quietToLearn || !h.Died.IsZero() && now.Sub(h.Died) < quietToLearn {
		return h
	}
	current, _ := interval(p, h)
	longer := min(current*5/4, longestInterval)
	if h.Deadly > 0 && now.Sub(h.Died) >= quietToDare {
		h.Deadly, h.Died = h.Deadly*5/4, now
	}
	if h.Deadly > 0 {
		longer = min(longer, h.Deadly*8/10)
	}
	if longer > current {
		h.Interval = longer
	}
	h.Since = now
	return h
}

// lied learns that mail was there which IDLE had not told of.
func lied(h registry.Host, now time.Time) registry.Host {
	if h.Lies++; h.Lies >= liesToDoubt {
		h.Lies, h.Unreliable = 0, now
	}
	return h
}

// doubted reports whether IDLE is not believed.
func doubted(h registry.Host, now time.Time) bool {
	return !h.Unreliable.IsZero() && now.Sub(h.Unreliable) < doubtLasts
}
