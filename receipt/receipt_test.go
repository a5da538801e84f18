package receipt

import (
	"testing"
	"time"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func TestReport(t *testing.T) {
	t.Parallel()
	recorded := noon.Add(-time.Hour)
	for name, c := range map[string]struct {
		phone time.Duration // how far the clock of the phone is ahead
		ago   time.Duration
		want  time.Time
	}{
		"a clock that is right":                   {0, time.Minute, noon.Add(-time.Minute)},
		"a clock that is a day ahead":             {24 * time.Hour, time.Minute, noon.Add(-time.Minute)},
		"a clock that is a day behind":            {-24 * time.Hour, time.Minute, noon.Add(-time.Minute)},
		"an event in the future of the phone":     {0, -time.Minute, noon},
		"an event before there was a message":     {0, 2 * time.Hour, recorded},
		"an event before all that can be counted": {0, 1<<63 - 1, recorded},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon.Add(c.phone)
			event := now.Add(-c.ago)
			got := Report{Received: event, Opened: event, Now: now}.At(recorded, noon)
			if want := (Receipt{Received: c.want, Opened: c.want}); got != want {
				t.Errorf("it is %+v, want %+v", got, want)
			}
		})
	}
	t.Run("a clock of the server that was set back", func(t *testing.T) {
		if got := (Report{Shown: noon, Now: noon}).At(noon.Add(time.Hour), noon); got != (Receipt{Shown: noon}) {
			t.Errorf("it is %+v", got)
		}
	})
}

func TestReceiptKeepsTheFirst(t *testing.T) {
	t.Parallel()
	first, later := Receipt{Received: noon}, Receipt{noon.Add(time.Minute), noon.Add(time.Minute), noon.Add(time.Minute)}
	if got := first.With(later); got != (Receipt{noon, later.Shown, later.Opened}) {
		t.Errorf("it is %+v", got)
	}
}

func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	known := Chain{}.AfterReceipt(Receipt{Received: noon}, noon)
	pushes := func(c Chain, n int) Chain {
		for i := range n {
			c = c.AfterPush(noon.Add(time.Duration(i) * time.Minute))
		}
		return c
	}
	day := noon.Add(24 * time.Hour)
	for name, c := range map[string]struct {
		chain Chain
		now   time.Time
		want  bool
	}{
		"three pushes, the first a day ago":  {pushes(known, 3), day, true},
		"three pushes, just under a day ago": {pushes(known, 3), day.Add(-1), false},
		"two pushes":                         {pushes(known, 2), day.Add(time.Hour), false},
		"one that never reported":            {pushes(Chain{}, 9), day, false},
		"a receipt since":                    {pushes(known, 9).AfterReceipt(Receipt{Opened: noon}, noon), day, false},
		"a clock that was set back":          {pushes(known, 9), noon.Add(-time.Hour), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.chain.Unconfirmed(c.now); got != c.want {
				t.Errorf("unconfirmed is %v", got)
			}
		})
	}
	t.Run("a late receipt takes nothing back", func(t *testing.T) {
		c := known.AfterReceipt(Receipt{Received: noon.Add(-time.Hour), Shown: noon}, noon)
		if c.Received != noon || c.Shown != noon {
			t.Errorf("it is %+v", c)
		}
	})
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	early, ahead := noon.Add(-time.Hour), noon.Add(48*time.Hour)
	before := Chain{Queued: ahead, Accepted: ahead, Receipt: Receipt{Received: ahead, Shown: ahead, Opened: early}}
	t.Run("what is in the future is not shown", func(t *testing.T) {
		if got, want := before.Known(noon), (Chain{Receipt: Receipt{Opened: early}}); got != want {
			t.Errorf("it is %+v", got)
		}
		if got := before.Known(ahead.Add(-time.Second)); got != before {
			t.Errorf("a second before it is %+v", got)
		}
	})
	t.Run("what is reported next takes its place", func(t *testing.T) {
		got := before.AfterReceipt(Receipt{Received: early}, noon)
		if want := (Receipt{Received: early, Shown: ahead, Opened: early}); got.Receipt != want {
			t.Errorf("it is %+v", got)
		}
	})
	t.Run("what was reported before takes no place", func(t *testing.T) {
		got := Chain{Receipt: Receipt{Received: early}}.AfterReceipt(Receipt{Received: ahead, Opened: noon}, noon)
		if want := (Receipt{Received: early, Opened: noon}); got.Receipt != want {
			t.Errorf("it is %+v", got)
		}
	})
}

func TestMedian(t *testing.T) {
	t.Parallel()
	at := func(age time.Duration, took ...time.Duration) (list []Trip) {
		for _, d := range took {
			list = append(list, Trip{noon.Add(-age), d})
		}
		return list
	}
	for name, c := range map[string]struct {
		trips  []Trip
		median time.Duration
		of     int
	}{
		"none":                               {nil, 0, 0},
		"one":                                {at(0, 5), 5, 1},
		"an even number":                     {at(time.Hour, 1, 9, 3, 5), 4, 4},
		"older than the week":                {append(at(7*24*time.Hour, 1, 1, 1), at(time.Hour, 7, 8, 100)...), 8, 3},
		"from before the clock was set back": {append(at(-8*24*time.Hour, 1, 1, 1), at(-time.Hour, 7, 8, 100)...), 8, 3},
		"one that took a week":               {at(time.Hour, 1, 2, 1<<62), 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			if median, of := Median(c.trips, noon); median != c.median || of != c.of {
				t.Errorf("it is %v of %d, want %v of %d", median, of, c.median, c.of)
			}
		})
	}
}
