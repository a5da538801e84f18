package push

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"idlepush/registry"
)

// list returns the ids of the set.
func (s idSet) list() []string {
	return strings.FieldsFunc(string(s), func(r rune) bool { return r == ',' })
}

// answers are those of the table of breakerTable.
var answers = map[string]func() registry.Outcome{
	"ok":      func() registry.Outcome { return accepted },
	"fault":   ourFault,
	"unsent":  func() registry.Outcome { return NotSent(ourFault()) },
	"out":     retry,
	"gone":    gone,
	"refused": refused,
	"bad":     complaint,
}

// breakerTable is a table of lanes: the devices that are proven, and answers with what follows.
//
// An answer is a device, which begins with the letter of its user, and one of answers. Then comes
// the state of the lane after it: it works, asks another device, or is paused, with the length of a
// pause that began or went on (of an outage: at most). "+" is the device's own wait; "rare" is that
// of a suspect device. Before an answer, the time of any pause passes, unless it was on its way
// (late). A restart keeps what the store knows.
func breakerTable(t *testing.T) {
	for _, c := range [][3]string{
		// Our fault, and a device that is not proven
		{"a new device", "a1", "b1 fault works +1m; b1 fault works +2m; b1 fault works +4m"},
		{"a new device of the same user", "a1", "a2 fault works +1m; a1 ok works"},
		{"six new devices of one user", "a1", "b1 fault works +1m; b2 fault works +1m; b3 fault works +1m; restart; b4 fault works +1m; b5 fault works +1m; b6 fault works +1m; a1 ok works"},
		{"new devices of two users", "a1", "b1 fault works +1m; c1 fault works +1m; a1 ok works"},
		{"nothing is proven", "", "a1 fault works +1m; a1 fault works +2m; restart; a1 fault works +4m"},
		{"nothing is proven, two users", "", "a1 fault works +1m; b1 fault works +1m; a1 fault works +2m; b1 ok works"},
		{"a new device does not confirm", "a1 b1", "a1 fault asks +1m; c1 fault asks +1m; b1 fault paused 1m"},
		{"a new device does not prolong a pause", "a1 b1", "a1 fault asks +1m; b1 fault paused 1m; c1 fault paused +1m; a1 ok works"},
		{"a new device is accepted", "a1 b1", "a1 fault asks +1m; c1 ok works; a1 fault works +rare"},
		{"a new device ends a pause", "a1 b1", "a1 fault asks +1m; b1 fault paused 1m; c1 ok works; a1 fault asks +2m"},
		{"a new device is proven, then fails", "a1", "b1 fault works +1m; b1 ok works; b1 fault asks +1m; a1 ok works"},
		{"a device that is suspect", "a1 b1", "a1 bad works; a1 fault works +rare; a1 fault works +rare; b1 ok works"},
		{"a device that is suspect, while another is accused", "a1 b1 c1", "a1 bad works; b1 fault asks +1m; a1 fault asks +rare; c1 fault paused 1m; a1 fault paused +rare"},

		// Our fault, one user
		{"the only proven device", "a1", "a1 fault paused 1m; a1 fault paused 5m; a1 fault paused 15m; a1 fault paused 15m; a1 ok works"},
		{"the only proven device, with restarts", "a1", "a1 fault paused 1m; restart; a1 fault paused 5m; restart; a1 ok works; restart; a1 fault paused 1m"},
		{"the only proven device beside a new one", "a1", "a2 fault works +1m; a1 fault paused 1m; a2 fault paused +2m; a1 fault paused 5m"},
		{"the only proven device beside a new one of another user", "a1", "b1 fault works +1m; a1 fault asks +1m; a1 fault asks +2m; restart; a1 fault asks +4m; b1 ok works; a1 fault works +rare"},
		{"the only proven user beside a new device of another", "a1 a2", "b1 fault works +1m; a1 fault asks +1m; a2 fault asks +1m; restart; a2 fault asks +2m; b1 ok works; a1 fault works +rare"},
		{"the only one that is not suspect", "a1 a2", "a1 fault asks +1m; a2 ok works; a2 fault paused 1m; a1 fault paused +rare; a2 fault paused 5m"},
		{"the only proven device, and nothing is sent", "a1", "a1 unsent paused 1m; a1 unsent paused 5m"},
		{"another confirms", "a1 a2", "a1 fault asks +1m; a2 fault paused 1m"},
		{"another confirms what was not sent", "a1 a2", "a1 unsent asks +1m; a2 unsent paused 1m"},
		{"another confirms after a restart", "a1 a2", "a1 fault asks +1m; restart; a2 fault paused 1m; restart; a2 fault paused +2m; restart; a1 fault paused 5m"},
		{"another is accepted", "a1 a2", "a1 fault asks +1m; a2 ok works; a1 fault works +rare; a1 fault works +rare"},
		{"another is accepted after a restart", "a1 a2", "a1 fault asks +1m; restart; a2 ok works; restart; a1 fault works +rare"},
		{"it fails again before another is asked", "a1 a2", "a1 fault asks +1m; a1 fault asks +2m; restart; a1 fault asks +4m; a2 fault paused 1m"},
		{"it is accepted", "a1 a2", "a1 fault asks +1m; a1 ok works; a1 fault asks +1m"},
		{"it is accepted after another", "a1 a2", "a1 fault asks +1m; a2 ok works; a1 fault works +rare; a1 ok works; a1 fault asks +1m"},
		{"each round asks two", "a1 a2", "a1 fault asks +1m; a2 fault paused 1m; a1 fault paused +2m; a2 fault paused 5m; a1 fault paused +4m; a2 fault paused 15m; a1 fault paused +8m; a2 fault paused 15m; a1 ok works"},
		{"a third is accepted in the pause", "a1 a2 a3", "a1 fault asks +1m; a2 fault paused 1m; a3 ok works; a1 fault asks +2m; a3 ok works; a1 fault works +rare"},
		{"mended between two probes", "a1 a2", "a1 fault asks +1m; a2 fault paused 1m; a1 fault paused +2m; a2 ok works; a1 ok works; a1 fault asks +1m"},
		{"others' answers that are not accepted", "a1 a2 a3 a4 a5", "a1 fault asks +1m; a2 gone asks; a3 refused asks; a4 bad asks; a5 ok works; a1 fault works +rare"},
		{"a gone device ends a pause", "a1 a2 a3", "a1 fault asks +1m; a2 fault paused 1m; a3 gone works; a1 fault asks +2m"},
		{"a refused message ends a pause", "a1 a2 a3", "a1 fault asks +1m; a2 fault paused 1m; a3 refused works"},
		{"a complaint about an address ends a pause", "a1 a2 a3", "a1 fault asks +1m; a2 fault paused 1m; a3 bad works"},
		{"the accused is gone", "a1 a2 a3", "a1 fault asks +1m; a1 gone asks; a2 fault asks +1m; a3 fault paused 1m"},
		{"the accused becomes suspect", "a1 a2 a3", "a1 fault asks +1m; a1 bad asks; a2 fault asks +1m; a3 fault paused 1m"},
		{"two are suspect", "a1 a2 a3", "a1 fault asks +1m; a3 ok works; a2 fault asks +1m; a3 ok works; a1 fault works +rare; a2 fault works +rare; a1 ok works; a2 fault works +rare"},
		{"on their way when the pause began", "a1 a2 a3", "a1 fault asks +1m; a2 fault paused 1m; late a3 fault paused; late a1 fault paused; late a3 out paused; a3 fault paused +4m; a2 fault paused 5m"},
		{"on its way and accepted", "a1 a2 a3", "a1 fault asks +1m; a2 fault paused 1m; late a3 ok works"},

		// Our fault, several users
		{"another user confirms", "a1 b1", "b1 fault asks +1m; a1 fault paused 1m; b1 fault paused +2m; a1 fault paused 5m"},
		{"another user confirms after a restart", "a1 b1", "b1 fault asks +1m; restart; a1 fault paused 1m; restart; a1 ok works"},
		{"another user is accepted", "a1 b1", "b1 fault asks +1m; a1 ok works; b1 fault works +rare; restart; b1 fault works +rare"},
		{"the same user does not confirm", "a1 b1 b2 b3", "b1 fault asks +1m; b2 fault asks +1m; restart; b3 fault asks +1m; a1 ok works; b1 fault works +rare; b2 fault asks +2m"},
		{"the same user is accepted", "a1 b1 b2", "b1 fault asks +1m; b2 ok works; b1 fault works +rare"},
		{"one user does not prolong a pause", "a1 b1 b2", "a1 fault asks +1m; b1 fault paused 1m; b1 fault paused +2m; b2 fault paused +1m; a1 ok works"},
		{"one user does not prolong a pause after a restart", "a1 b1", "a1 fault asks +1m; b1 fault paused 1m; restart; b1 fault paused +2m; a1 ok works; b1 fault asks +4m; a1 ok works; b1 fault works +rare"},
		{"three users", "a1 b1 c1", "a1 fault asks +1m; b1 fault paused 1m; c1 fault paused +1m; a1 fault paused 5m"},
		{"an outage meanwhile", "a1 b1", "b1 fault asks +1m; a1 out asks; a1 ok works; b1 fault works +rare"},
		{"an outage pauses the lane meanwhile", "a1 b1", "b1 fault asks +1m; a1 out asks; b1 out asks; a1 out asks; b1 out asks; a1 out paused 5s; a1 ok works; b1 fault asks +8m"},

		// An outage, one user
		{"two devices", "a1 a2", "a1 out works; a2 out works; a1 out works; a2 out works; a1 out paused 5s; a2 out paused 10s; a1 out paused 20s; a2 out paused 40s; a1 out paused 60s; a1 ok works"},
		{"one device", "a1", "a1 out works; a1 out works; a1 out works; a1 out works; a1 out works; a1 out works"},
		{"one device among others", "a1 a2", "a1 out works; a1 out works; a2 out works; a2 out works; a1 out works; a1 out works; a2 out works; a2 out works; a1 out paused 5s"},
		{"devices that are not proven beside one that is", "a1", "a2 out works; a3 out works; a4 out works; a5 out works; a6 out works; a7 out works"},
		{"nothing is proven", "", "a1 out works; a2 out works; a3 out works; a4 out works; a5 out paused 5s; a6 out paused 10s; a7 ok works"},
		{"a restart forgets failures", "a1 a2", "a1 out works; a2 out works; a1 out works; a2 out works; restart; a1 out works; a2 out works"},
		{"a restart keeps the pause", "a1 a2", "a1 out works; a2 out works; a1 out works; a2 out works; a1 out paused 5s; restart; a2 out paused 5s; a1 out paused 10s; restart; a1 ok works"},
		{"an answer about another device between", "a1 a2 a3 a4 a5 a6", "a1 out works; a2 out works; a3 out works; a4 out works; a5 bad works; a6 out works; a1 out works"},
		{"on its way when the pause began", "a1 a2 a3", "a1 out works; a2 out works; a1 out works; a2 out works; a1 out paused 5s; late a3 out paused; late a2 out paused; late a3 ok works"},
		{"the probe finds us at fault", "a1 a2", "a1 out works; a2 out works; a1 out works; a2 out works; a1 out paused 5s; a2 fault paused +4m; a1 fault paused 1m"},
		{"the probe of a suspect device", "a1 a2 a3", "a3 bad works; a1 out works; a2 out works; a1 out works; a2 out works; a3 out works; a1 out paused 5s; a3 out paused; a2 out paused 10s"},
		{"the probe after our fault", "a1 a2", "a1 fault asks +1m; a2 fault paused 1m; a1 out paused 5s; a2 fault paused +2m; a1 fault paused 1m"},

		// An outage, several users
		{"both users", "a1 b1", "b1 out works; a1 out works; b1 out works; a1 out works; b1 out paused 5s"},
		{"one of two, six devices", "a1 b1 b2 b3 b4 b5 b6", "b1 out works; b2 out works; b3 out works; b4 out works; b5 out works; b6 out works; b1 out works"},
		{"one of two, while the other is accepted", "a1 b1 b2 b3 b4 b5", "b1 out works; b2 out works; a1 ok works; b3 out works; b4 out works; b5 out works; b1 out works; a1 ok works"},
		{"one of two, then the other once", "a1 b1 b2", "b1 out works; b2 out works; b1 out works; b2 out works; b1 out works; a1 out paused 5s"},
		{"six new devices of one", "a1", "b1 out works; b2 out works; b3 out works; b4 out works; b5 out works; b6 out works"},
		{"the only proven user beside a new device of another", "a1 a2", "b1 out works; a1 out works; a2 out works; a1 out works; a2 out works; a1 out works; a2 out works"},
		{"nothing is proven, one of two", "", "a1 out works; a2 out works; a3 out works; a4 out works; a5 out works; b1 out paused 5s"},
		{"two of three", "a1 b1 c1", "a1 out works; b1 out works; a1 out works; b1 out works; a1 out works; b1 out works"},
		{"three of three", "a1 b1 c1", "a1 out works; b1 out works; a1 out works; b1 out works; c1 out paused 5s"},
		{"four of six", "a1 b1 c1 d1 e1 f1", "a1 out works; b1 out works; c1 out works; d1 out works; a1 out works; b1 out works"},
		{"five of six", "a1 b1 c1 d1 e1 f1", "a1 out works; b1 out works; c1 out works; d1 out works; e1 out paused 5s"},
		{"one of two does not prolong a pause", "a1 b1 b2", "b1 out works; a1 out works; b1 out works; a1 out works; b1 out paused 5s; b1 out paused; b2 out paused; a1 out paused 10s; b2 out paused; a1 ok works"},
		{"nor after a restart", "a1 b1 b2", "b1 out works; a1 out works; b1 out works; a1 out works; b1 out paused 5s; restart; b1 out paused; b2 out paused; a1 out paused 5s; restart; b1 out paused; a1 ok works"},
	} {
		runBreaker(t, c[0], strings.Fields(c[1]), strings.Split(c[2], "; "))
	}
}

// runBreaker checks one row.
func runBreaker(t *testing.T, name string, proven, steps []string) {
	t.Helper()
	l, now, tries := laneOf(proven...), dawn, make(map[string]int)
	users := idSet("").with(userOf(steps[0]))
	for _, s := range steps {
		users = users.with(userOf(strings.TrimPrefix(strings.TrimPrefix(s, "restart"), "late ") + " "))
	}
	l.others = users.without(" ").len() - 1
	for i, s := range steps {
		if s == "restart" {
			l.breaker = breaker{}
			continue
		}
		s, late := strings.CutPrefix(s, "late ")
		if l.until.After(now) && !late {
			now = l.until
		}
		device, rest, _ := strings.Cut(s, " ")
		answer, want, _ := strings.Cut(rest, " ")
		was := l.until
		after, o := l.settled(device, answers[answer](), tries[device], now)
		if l = after; o.Result == registry.ResultRetry || o.Result == registry.ResultMisconfigured {
			tries[device]++
		} else {
			delete(tries, device)
		}
		if got := describe(l, o, was, now); got != want {
			t.Errorf("%s, answer %d, %s: %s, want %s", name, i+1, s, got, want)
			return
		}
	}
}

// describe puts the lane after the outcome into the words of breakerTable. was is the end of the
// pause before.
func describe(l lane, o registry.Outcome, was, now time.Time) string {
	words := "works"
	switch wait := l.until.Sub(now); {
	case l.paused() && l.until.Equal(was):
		words = "paused"
	case l.paused() && o.Result == registry.ResultMisconfigured:
		words = fmt.Sprintf("paused %gm", wait.Minutes())
	case l.paused():
		words = fmt.Sprint("paused ", wait)
		if most := doubled(minProbeWait, maxProbeWait, l.failures-breakAfter); most/2 <= wait && wait <= most {
			words = fmt.Sprintf("paused %gs", most.Seconds())
		}
	case l.accused != "":
		words = "asks"
	}
	switch wait := o.At.Sub(now); {
	case o.At.IsZero():
	case wait%time.Minute > 0:
		words += " +rare"
	default:
		words += fmt.Sprintf(" +%gm", wait.Minutes())
	}
	return words
}

// breakerMemory is a table of what the breaker remembers after the answer to device a1 at dawn.
func breakerMemory(t *testing.T) {
	full := breaker{failures: 4, last: "a2", users: ",a,"}
	alone := func(at time.Time) breaker {
		b := full
		b.alone, b.answered = ",a1,", at
		return b
	}
	for _, c := range []struct {
		name   string
		before breaker
		answer registry.Outcome
		pauses bool
		after  breaker
	}{
		{"a first failure", breaker{}, retry(), false, breaker{failures: 1, last: "a1", users: ",a,", failing: ",a1,"}},
		{"the same again", breaker{failures: 1, last: "a1", failing: ",a1,"}, retry(), false, breaker{failures: 1, last: "a1", failing: ",a1,"}},
		{"the same again between others", breaker{failures: 2, last: "a2", failing: ",a1,,a2,"}, retry(), false,
			breaker{failures: 3, last: "a1", users: ",a,", failing: ",a1,,a2,"}},
		{"the fifth", full, retry(), true, breaker{failures: 5, last: "a1", failing: ",a1,"}},
		{"it fails alone", alone(dawn.Add(-24*time.Hour + 1)), retry(), false, alone(dawn.Add(-24*time.Hour + 1))},
		{"it failed alone too long ago", alone(dawn.Add(-24 * time.Hour)), retry(), true,
			breaker{failures: 5, last: "a1", alone: ",a1,", answered: dawn.Add(-24 * time.Hour)}},
		{"it failed alone by a clock that was ahead", alone(dawn.Add(time.Hour)), retry(), true, breaker{failures: 5, last: "a1", alone: ",a1,", answered: dawn.Add(time.Hour)}},
		{"another fails alone", breaker{failures: 4, last: "a2", users: ",a,", alone: ",a3,", answered: dawn}, retry(), true,
			breaker{failures: 5, last: "a1", failing: ",a1,", alone: ",a3,", answered: dawn}},
		{"our fault", full, ourFault(), false, full},
		{"it is accepted", breaker{failures: 3, last: "a2", users: ",a,", failing: ",a1,,a2,,a3,"}, accepted, false, breaker{alone: ",a2,,a3,", answered: dawn}},
		{"the last that failed alone is accepted", breaker{alone: ",a1,", answered: dawn.Add(-time.Hour)}, accepted, false, breaker{}},
	} {
		l := crowded()
		l.breaker = c.before
		if l = l.after("a1", c.answer, dawn); l.breaker != c.after || l.paused() != c.pauses {
			t.Errorf("%s: paused %v, %+v, want %+v", c.name, l.paused(), l.breaker, c.after)
		}
	}
}

// Each is a better probe than the next.
func breakerDoubts(t *testing.T) {
	b := breaker{users: ",b,", failing: ",c2,,b2,,d2,", alone: ",c3,"}
	for i, q := range []registry.Queue{
		{Device: "c1", User: "c", Proven: true},
		{Device: "c2", User: "c", Proven: true},
		{Device: "b1", User: "b", Proven: true},
		{Device: "b2", User: "b", Proven: true},
		{Device: "a1", User: "a", Proven: true},
		{Device: "d2", User: "d"},
	} {
		q.Probe, q.Accused, q.AccusedUser = true, "a1", "a"
		if got := b.doubts(q); got != i && i < 4 || got < i {
			t.Errorf("%s: %d doubts", q.Device, got)
		}
	}
	if b.doubts(registry.Queue{Device: "c3", User: "b"}) != 1 || b.doubts(registry.Queue{Device: "c4", User: "b"}) != 0 {
		t.Error("where the lane is not paused, only failures of the device count")
	}
}
