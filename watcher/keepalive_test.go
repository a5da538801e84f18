package watcher

import (
	"testing"
	"time"

	"idlepush/codes"
	"idlepush/registry"
)

func TestKeepalive(t *testing.T) {
	t.Parallel()
	t.Run("drops after similar silence shorten the interval", dropsShortenInterval)
	t.Run("long quiet lengthens the interval slowly, and not soon beyond a silence that was fatal", quietLengthensInterval)
	t.Run("a host that misses news three times is distrusted for a week", missesCauseDistrust)
	t.Run("IDLE is believed once it has reported mail, and until it misses some", reportCausesTrust)
	t.Run("a connection that dies unnoticed, and not for its silence, has the host asked more often for two days", unnoticedDeaths)
	t.Run("the interval begins with that of the provider", providerInterval)
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// dropped is the host after drops that followed these silences, an hour apart.
func dropped(h registry.Host, unanswered bool, silences ...time.Duration) registry.Host {
	for i, s := range silences {
		h = droppedAfter(provider{}, h, s, unanswered, noon.Add(time.Duration(i)*time.Hour))
	}
	return h
}

func dropsShortenInterval(t *testing.T) {
	t.Parallel()
	minutes := func(list ...float64) (d []time.Duration) {
		for _, m := range list {
			d = append(d, time.Duration(m*float64(time.Minute)))
		}
		return d
	}
	for name, c := range map[string]struct {
		unanswered bool
		silences   []time.Duration
		want       time.Duration
	}{
		"two are chance":                    {false, minutes(5, 5), usualInterval},
		"three are none":                    {false, minutes(5, 5.1, 4.9), 4*time.Minute - 4800*time.Millisecond},
		"of any age are chance":             {false, minutes(2, 5, 8), usualInterval},
		"an odd one between breaks the row": {false, minutes(5, 5, 2, 5), usualInterval},
		"nobody knows since when":           {true, minutes(9, 9, 9), 4*time.Minute + 30*time.Second},
		"a proxy that closes at 30 s":       {false, minutes(0.5, 0.5, 0.5), shortestInterval},
		"a server that drops at once":       {false, minutes(0.1, 0.1, 0.1), usualInterval},
		"of more than the interval":         {false, minutes(20, 20, 20), usualInterval},
	} {
		if got, why := interval(provider{}, dropped(registry.Host{}, c.unanswered, c.silences...)); got != c.want || why.Code == "" {
			t.Errorf("%s: %v (%s), want %v", name, got, why, c.want)
		}
	}
	h := registry.Host{}
	for range 500 {
		h = droppedAfter(provider{}, h, 5*time.Minute, false, noon)
	}
	if got, _ := interval(provider{}, h); got != usualInterval {
		t.Errorf("a server that started again under many accounts made the interval %v", got)
	}
}

func quietLengthensInterval(t *testing.T) {
	t.Parallel()
	h := registry.Host{}
	now := noon
	for range 10 * 7 * 24 * 6 { // ten weeks
		now = now.Add(10 * time.Minute)
		before, _ := interval(provider{}, h)
		h = survivedSilence(provider{}, h, usualInterval, true, now)
		if after, _ := interval(provider{}, h); after > before*5/4 {
			t.Fatalf("from %v to %v", before, after)
		}
	}
	if got, _ := interval(provider{}, h); got != longestInterval {
		t.Errorf("after ten quiet weeks it is %v", got)
	}
	for range 3 {
		now = now.Add(time.Hour)
		h = droppedAfter(provider{}, h, 10*time.Minute, false, now)
	}
	for weeks, want := range []time.Duration{8 * time.Minute, 8 * time.Minute, 8 * time.Minute, 10 * time.Minute} {
		for range 7 * 24 * 6 {
			now = now.Add(10 * time.Minute)
			h = survivedSilence(provider{}, h, usualInterval, true, now)
		}
		if got, _ := interval(provider{}, h); got > want {
			t.Errorf("%d weeks after connections died at 10 min it is %v", weeks+1, got)
		}
	}
	h = dropped(registry.Host{}, false, 2*time.Minute, 2*time.Minute)
	h = survivedSilence(provider{}, h, 2*time.Minute, false, noon.Add(3*time.Hour))
	if h = droppedAfter(provider{}, h, 2*time.Minute, false, noon.Add(4*time.Hour)); h.Interval != 0 || len(h.RecentDrops) != 1 {
		t.Errorf("a silence that was borne between is counted among the deadly: %+v", h)
	}
	h = registry.Host{}
	for day := range 9 {
		if h = droppedAfter(provider{}, h, 2*time.Minute, true, noon.AddDate(0, 0, 3*day)); h.Interval != 0 {
			t.Fatalf("outages days apart are a row: %+v", h)
		}
	}
}

func missesCauseDistrust(t *testing.T) {
	t.Parallel()
	h := registry.Host{}
	for i := range 3 {
		if distrusted(h, noon) {
			t.Fatalf("after %d misses", i)
		}
		h = missedNews(h, noon)
	}
	if !distrusted(h, noon.Add(distrustLasts-1)) || distrusted(h, noon.Add(distrustLasts)) {
		t.Error("not for a week")
	}
}

func reportCausesTrust(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		events string // r: it reported mail, m: it missed mail, w: a week and a minute passed
		want   codes.Code
	}{{"", "interval_unproven"}, {"r", ""}, {"m", "interval_suspected"}, {"mr", ""}, {"rm", "interval_suspected"}, {"rmr", ""}, {"rmmm", "interval_distrusted"},
		{"rmmmr", "interval_distrusted"}, {"rmmmw", "interval_unproven"}, {"rmmmrw", "interval_unproven"}, {"rmmmwm", "interval_distrusted"}, {"rmmmwr", ""}, {"rw", ""}} {
		h, now := registry.Host{}, noon
		for _, e := range c.events {
			switch e {
			case 'r':
				h = reportedNews(h, now)
			case 'm':
				h = missedNews(h, now)
			case 'w':
				now = now.Add(distrustLasts + time.Minute)
			}
		}
		if d, why := doubt(h, 5000, now); why.Code != c.want || (d == doubtInterval) != (c.want != "") {
			t.Errorf("%q: asked every %v (%s), want %q", c.events, d, why, c.want)
		}
	}
}

func unnoticedDeaths(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		unanswered bool
		survived   time.Duration
		sessions   int
		want       time.Duration
	}{
		"a longer silence is borne":             {true, 9 * time.Minute, 1, doubtInterval},
		"a shorter silence is borne":            {true, 7 * time.Minute, 1, 0},
		"a silence nearly as long is borne":     {true, 8 * time.Minute, 1, doubtInterval},
		"it was noticed":                        {false, 9 * time.Minute, 1, 0},
		"hundreds of sessions are at the host":  {true, 9 * time.Minute, 400, doubtInterval},
		"thousands of sessions are at the host": {true, 9 * time.Minute, 3000, 10 * time.Minute},
	} {
		h := droppedAfter(provider{}, registry.Host{Reports: true}, 8*time.Minute+time.Second, c.unanswered, noon)
		h = survivedSilence(provider{}, h, c.survived, true, noon)
		if got, _ := doubt(h, c.sessions, noon.Add(unnoticedLasts-1)); got != c.want {
			t.Errorf("%s: asked every %v, want %v", name, got, c.want)
		}
		if got, _ := doubt(h, c.sessions, noon.Add(unnoticedLasts)); got != 0 {
			t.Errorf("%s: two days later asked every %v", name, got)
		}
	}
}

func providerInterval(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]time.Duration{"imap.mail.yahoo.com": 3 * time.Minute, "IMAP.GMX.NET.": 12 * time.Minute, "notgmx.net": usualInterval,
		"imap.mail.me.com": 4 * time.Minute, "mail.example.org": usualInterval} {
		if got, _ := interval(providerOf(host), registry.Host{}); got != want {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
	if !providerOf("imap.163.com").polled || providerOf("imap.gmail.com").life == 0 {
		t.Error("Coremail is believed, or Gmail is not renewed")
	}
	if got, _ := interval(providerOf("imap.mail.yahoo.com"), registry.Host{Interval: 2 * time.Minute}); got != 2*time.Minute {
		t.Errorf("learned behaviour comes second: %v", got)
	}
}
