package watcher

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/wire"
)

// poison remembers, from one session of an account to the next, the mails whose FETCH ended a session. A batch that
// did is fetched one by one, and a mail that did it rings blind, without a word of what it says: it must not keep the mails
// behind it from ringing.
type poison struct {
	strikes map[poisoned]int
	shut    map[string]time.Time // folders that are passed over, until when
	careful bool                 // asking for the STATUS of several folders has ended a session
	muted   int                  // asking for the STATUS of the open folder has, so often in a row

	trials   map[poisoned]trial // mails that the server did not give, although the connection works
	brief    map[poisoned]bool  // mails whose further words have ended a session
	wordless int                // mails that rang without words, in a row

	wanting  map[poisoned]wanting // mails that rang without words and are asked for again
	recalled bool                 // those of an earlier run of the program are among them
}

type poisoned struct {
	folder string
	uid    imap.UID
}

// mostStrikes is how often a connection may be lost over one mail before the mail is held to be the reason. An answer
// that breaks the protocol or a limit needs no second time.
const mostStrikes = 3

func (p *poison) blind(folder string, uid imap.UID) bool {
	return p.strikes[poisoned{folder, uid}] >= mostStrikes
}

// suspected reports whether the mail was in a FETCH that failed.
func (p *poison) suspected(folder string, uid imap.UID) bool {
	return p.strikes[poisoned{folder, uid}] > 0
}

// strike takes note of a FETCH that ended a session: of several mails, any may have been the reason.
func (p *poison) strike(folder string, uids []imap.UID, err error) {
	if p.strikes == nil {
		p.strikes = make(map[poisoned]int)
	}
	_, protocol := errors.AsType[*wire.ProtocolError](err)
	_, limit := errors.AsType[*wire.LimitError](err)
	certain := protocol || limit
	for _, uid := range uids {
		key := poisoned{folder, uid}
		switch {
		case len(uids) > 1:
			p.strikes[key] = max(p.strikes[key], 1)
		case certain:
			p.strikes[key] = mostStrikes
		default:
			p.strikes[key]++
		}
	}
}

func (p *poison) forget(folder string, uids []imap.UID) {
	for _, uid := range uids {
		delete(p.strikes, poisoned{folder, uid})
		delete(p.trials, poisoned{folder, uid})
		delete(p.brief, poisoned{folder, uid})
	}
}

// whole stands for a folder in the place of a mail: its search ended a session.
const whole imap.UID = 0

// notifying stands in the place of a folder for asking for NOTIFY.
const notifying = ""

// shutFor is how long a folder that has ended so many sessions is passed over; then it is tried once more.
const shutFor = time.Hour

// refuse has the folder passed over.
func (p *poison) refuse(folder string) {
	if p.shut == nil {
		p.shut = make(map[string]time.Time)
	}
	p.shut[folder] = time.Now().Add(shutFor)
}

// avoids reports whether looking at the folder has ended so many sessions that it is passed over now.
func (p *poison) avoids(folder string) bool {
	if p.blind(folder, whole) {
		p.strikes[poisoned{folder, whole}]--
		p.refuse(folder)
	}
	return time.Now().Before(p.shut[folder])
}

// suspect has the mails fetched one by one.
func (p *poison) suspect(folder string, uids []imap.UID) {
	if p.strikes == nil {
		p.strikes = make(map[poisoned]int)
	}
	for _, uid := range uids {
		key := poisoned{folder, uid}
		p.strikes[key] = max(p.strikes[key], 1)
	}
}

// trial is how often a mail was asked for in vain, and when it is asked for again.
type trial struct {
	times int
	next  time.Time
}

// trialWaits are the waits before a mail is asked for again that the server did not give. After the last it rings with what there is.
var trialWaits = []time.Duration{time.Second, 4 * time.Second, 15 * time.Second}

// failed takes note that the server did not give a mail, and reports whether to give up.
func (p *poison) failed(folder string, uid imap.UID, now time.Time) (givenUp bool) {
	if p.trials == nil {
		p.trials = make(map[poisoned]trial)
	}
	key := poisoned{folder, uid}
	t := p.trials[key]
	if t.times == len(trialWaits) {
		return true
	}
	t.next = now.Add(trialWaits[t.times])
	t.times++
	p.trials[key] = t
	return false
}

// waits reports whether a mail is to be asked for again, but not yet.
func (p *poison) waits(folder string, uid imap.UID, now time.Time) bool {
	return now.Before(p.trials[poisoned{folder, uid}].next)
}

// again is when the next mail is to be asked for again; zero: none is.
func (p *poison) again() (at time.Time) {
	for _, t := range p.trials {
		if at.IsZero() || t.next.Before(at) {
			at = t.next
		}
	}
	for _, w := range p.wanting {
		if at.IsZero() || w.next.Before(at) {
			at = w.next
		}
	}
	return at
}

// ripe gives the folders of which a mail is to be asked for again by now.
func (p *poison) ripe(now time.Time) (folders []string) {
	for key, t := range p.trials {
		if !now.Before(t.next) && !slices.Contains(folders, key.folder) {
			folders = append(folders, key.folder)
		}
	}
	slices.Sort(folders)
	return folders
}

// settle forgets the mails of a folder that were to be asked for again by now: it was looked at, and they are dealt with or gone.
func (p *poison) settle(folder string, now time.Time) {
	maps.DeleteFunc(p.trials, func(key poisoned, t trial) bool { return key.folder == folder && !now.Before(t.next) })
}

// spare has the further words of a mail not asked for again, because doing so ended a session.
func (p *poison) spare(folder string, uid imap.UID) {
	if p.brief == nil {
		p.brief = make(map[poisoned]bool)
	}
	p.brief[poisoned{folder, uid}] = true
}
