package watcher

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"idlepush"
	"idlepush/registry"
)

// The length of one IDLE, which is also how long a connection may be silent, is learned per host,
// by all accounts on it. It begins with that of the provider, or with usualInterval: Mailtraq
// closes at 600 s and many NAT gateways forget at 15 min.
const (
	usualInterval    = 9 * time.Minute
	shortestInterval = 25 * time.Second // some proxies close at 30 s
	longestInterval  = 28 * time.Minute // RFC 2177: a client must issue IDLE again before 30 min
	pollInterval     = 55 * time.Second // without IDLE; Coremail wants a command every minute
	doubtInterval    = 80 * time.Second // with timeout, in which no answer comes, under two minutes

	dropsToLearn     = 3                   // drops after similar silence shorten the interval
	oneEvent         = 2 * time.Minute     // drops within it, or their silence, have one cause
	dropsForgotten   = 24 * time.Hour      // drops that lie further apart do not add up
	quietToLearn     = 7 * 24 * time.Hour  // without a drop: the interval grows
	quietToDare      = 28 * 24 * time.Hour // without a drop: beyond a silence that was fatal
	missesToDistrust = 3                   // messages that IDLE did not report
	distrustLasts    = 7 * 24 * time.Hour  // then IDLE has another chance
	lateBy           = 65 * time.Second    // from this age on, IDLE should have reported mail
	unnoticedLasts   = 2 * 24 * time.Hour  // then connections are trusted again
)

// provider describes the servers of a mail provider.
type provider struct {
	domains  []string      // of the host
	interval time.Duration // of IDLE; zero: usualInterval
	polled   bool          // its IDLE reports nothing
	life     time.Duration // it cuts sessions somewhat older than this; zero: it does not
	// It is Microsoft's own, which takes no passwords any more and gives no reasons.
	microsoft bool
}

// providers are facts that change: learned behaviour comes before them. Sources: FairEmail's and
// EmailEngine's lists, Google's IMAP page.
var providers = []provider{
	{domains: []string{"yahoo.com", "yahoodns.net", "aol.com"}, interval: 3 * time.Minute},
	{domains: []string{"rambler.ru"}, interval: 55 * time.Second},
	{domains: []string{"gmx.net", "gmx.com", "gmx.de", "web.de", "ionos.de", "ionos.com", "1und1.de"}, interval: 12 * time.Minute},
	{domains: []string{"me.com", "icloud.com"}, interval: 4 * time.Minute},
	{domains: []string{"163.com", "126.com", "yeah.net", "188.com", "naver.com"}, polled: true},
	{domains: []string{"outlook.com", "office365.com", "hotmail.com"}, microsoft: true},
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

// interval returns how long an IDLE may last at most, and why.
func interval(p provider, h registry.Host) (d time.Duration, why idlepush.Reason) {
	switch {
	case h.Interval > 0 && h.FatalSilence > 0:
		return h.Interval, idlepush.Reason{Code: "interval_shortened"}.With("silence", inSeconds(h.FatalSilence))
	case h.Interval > 0:
		return h.Interval, idlepush.Reason{Code: "interval_lengthened"}
	case p.interval > 0:
		return p.interval, idlepush.Reason{Code: "interval_of_provider"}
	}
	return usualInterval, idlepush.Reason{Code: "interval_default"}
}

// doubt returns how long an IDLE may last while the host is doubted, and why; zero: the whole
// interval. After a connection died unnoticed, all sessions of the host together ask no more than
// once in askPace.
func doubt(h registry.Host, sessions int, now time.Time) (d time.Duration, why idlepush.Reason) {
	switch {
	case distrusted(h, now):
		return doubtInterval, idlepush.Reason{Code: "interval_distrusted"}
	case h.MissedNews > 0:
		return doubtInterval, idlepush.Reason{Code: "interval_suspected"}
	case !h.Reports:
		return doubtInterval, idlepush.Reason{Code: "interval_unproven"}
	case diesUnnoticed(h, now):
		return max(doubtInterval, time.Duration(sessions)*askPace), idlepush.Reason{Code: "interval_unnoticed"}
	}
	return 0, idlepush.Reason{}
}

func inSeconds(d time.Duration) string { return d.Round(time.Second).String() }

// early takes up to a tenth of an interval away, so that accounts do not act at once, and none
// late.
func early(d time.Duration) time.Duration { return d - rand.N(d/10+1) }

// droppedAfter learns from a connection that was lost after so much silence. unanswered: the server
// did not answer then, so the time of the loss is not known. A connection that was silent already
// when another was lost is taken for one more of the same event.
func droppedAfter(p provider, h registry.Host, silence time.Duration, unanswered bool, now time.Time) registry.Host {
	if silence < shortestInterval*3/4 || !h.LastDrop.IsZero() && now.Sub(h.LastDrop) < min(oneEvent, silence) {
		return h
	}
	if now.Sub(h.LastDrop) > dropsForgotten {
		h.RecentDrops = nil
	}
	h.LastDrop = now
	h.RecentDrops = slices.DeleteFunc(slices.Clone(h.RecentDrops), func(d time.Duration) bool { return (d - silence).Abs() > silence/10 })
	h.RecentDrops = append(h.RecentDrops, silence)
	if unanswered {
		h.Unanswered = silence
	}
	if len(h.RecentDrops) < dropsToLearn {
		return h
	}
	deadly := slices.Min(h.RecentDrops)
	next := deadly * 8 / 10
	if unanswered {
		next = deadly / 2
	}
	now0, _ := interval(p, h)
	next = max(shortestInterval, min(next, longestInterval))
	if next < now0 {
		h.Interval, h.Since, h.FatalSilence, h.Unanswered = next, now, deadly, 0
	}
	h.RecentDrops = nil
	return h
}

// survivedSilence learns from an IDLE that the server answered at its end: no connection drops
// after so much silence. If one has, it died unnoticed, and not for its silence. whole reports
// whether the IDLE lasted the whole interval.
func survivedSilence(p provider, h registry.Host, silence time.Duration, whole bool, now time.Time) registry.Host {
	harmless := silence
	// early shortens an interval at random, so the same silence may not come again for hours. Up to
	// a twentieth more counts as survived, too.
	if near := silence * 20 / 19; h.Unanswered > 0 && h.Unanswered <= near {
		h.Unanswered, h.DiedUnnoticed, harmless = 0, now, near
	}
	h.RecentDrops = slices.DeleteFunc(slices.Clone(h.RecentDrops), func(d time.Duration) bool { return d <= harmless })
	if !whole {
		return h
	}
	h.RecentDrops = nil
	if h.Since.IsZero() {
		h.Since = now
	}
	if now.Sub(h.Since) < quietToLearn || !h.LastDrop.IsZero() && now.Sub(h.LastDrop) < quietToLearn {
		return h
	}
	current, _ := interval(p, h)
	longer := min(current*5/4, longestInterval)
	if h.FatalSilence > 0 && now.Sub(h.LastDrop) >= quietToDare {
		h.FatalSilence, h.LastDrop = h.FatalSilence*5/4, now
	}
	if h.FatalSilence > 0 {
		longer = min(longer, h.FatalSilence*8/10)
	}
	if longer > current {
		h.Interval = longer
	}
	h.Since = now
	return h
}

// missedNews learns that there was a message that IDLE did not report. A host that was distrusted
// before, and has reported nothing since, has no more chances.
func missedNews(h registry.Host, now time.Time) registry.Host {
	h.Reports = false
	if h.MissedNews++; h.MissedNews >= missesToDistrust || !h.DistrustedSince.IsZero() {
		h.MissedNews, h.DistrustedSince = 0, now
	}
	return h
}

// reportedNews learns that IDLE reported a message. From then on it is believed to report each.
func reportedNews(h registry.Host, now time.Time) registry.Host {
	h.MissedNews = 0
	if !distrusted(h, now) {
		h.Reports, h.DistrustedSince = true, time.Time{}
	}
	return h
}

// diesUnnoticed reports whether a connection has lately died unnoticed, and not for its silence.
func diesUnnoticed(h registry.Host, now time.Time) bool {
	return !h.DiedUnnoticed.IsZero() && now.Sub(h.DiedUnnoticed) < unnoticedLasts
}

// distrusted reports whether IDLE is not trusted now.
func distrusted(h registry.Host, now time.Time) bool {
	return !h.DistrustedSince.IsZero() && now.Sub(h.DistrustedSince) < distrustLasts
}

const (
	maxBadIdles = 3                // in a row, before the account is polled instead
	pollFor     = 10 * time.Minute // then IDLE is tried once more
)

// badIdles are the IDLEs of an account in a row that ended badly or were never answered. They
// outlive its sessions.
type badIdles struct {
	count int
	until time.Time // when IDLE is tried again
}

// ended takes in how an IDLE ended, and reports whether the account is to be polled from now on.
// shorter: the host's interval has become shorter since the IDLE began, so the next may hold.
func (b *badIdles) ended(bad, shorter bool, now time.Time) (poll bool) {
	if !bad || shorter {
		*b = badIdles{}
		return false
	}
	if b.count++; b.count < maxBadIdles {
		return false
	}
	b.until = now.Add(pollFor)
	return b.count == maxBadIdles
}

// polled reports whether the account is polled now.
func (b *badIdles) polled(now time.Time) bool { return now.Before(b.until) }

// useless reports whether IDLE has not held since the account was first polled for it.
func (b *badIdles) useless() bool { return b.count >= maxBadIdles }
