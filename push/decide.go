package push

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/ring"
)

// question asks how a notification rings on a device now.
type question struct {
	kind    idlepush.Kind
	account string // id
	folder  string // empty: of no single folder
	facts   foldedFacts
	wishes  foldedWishes  // of the device's user, of the account
	silent  bool          // of a summary: all mail that it counts is silent
	before  ring.Decision // the last; zero: there was none

	device string            // id
	on     ring.DeviceWishes // of the device
	opens  time.Time         // when burst-limit lets one more push pass; zero: now
	now    time.Time
	// quietEnds returns when the quiet hours of on end, as quietUntil does; nil: that is not known
	// yet.
	quietEnds func() time.Time
}

// The codes of decisions.
const (
	codeFolder    codes.Code = "folder_not_wanted"
	codeMuted     codes.Code = "muted"
	codeRule      codes.Code = "rule"
	codeOtherwise codes.Code = "otherwise"
	codeQuiet     codes.Code = "quiet_hours"
	codeThrough   codes.Code = "breaks_through"
	codePerson    codes.Code = "person_matters"
	codeBurst     codes.Code = "burst"
	codeSilent    codes.Code = "only_silent"
)

// decide returns how the notification rings on the device. Folders, mutes and rules say whether it
// does, quiet hours and burst-limit say when. Mail of People comes through the latter two. It rings
// although all that no rule matches is to be silent.
//
// A hold ends at a time after now, and then decide is called again. Until then it gives up nothing:
// a person may take back a mute or a rule before.
func decide(q question) ring.Decision {
	d, passes := q.verdict()
	if d.Verdict != ring.Not {
		d = q.wait(d, passes)
	} else if q.before.Verdict == ring.Held {
		if still := q.wait(ring.Decision{Verdict: ring.Now}, false); still.Verdict == ring.Held {
			d = still
		}
	}
	if d.Waited = q.before.WaitedUntil(q.now); d.Verdict != ring.Held {
		return d
	}
	if d.Since = q.now; q.before.Verdict == ring.Held && q.before.Code == d.Code {
		d.Since, d.Waited = q.before.Since, q.before.Waited
	}
	return d
}

// verdict returns how the notification rings at a time that is not quiet. passes reports whether it
// comes through quiet hours and burst-limit.
func (q question) verdict() (d ring.Decision, passes bool) {
	switch q.kind {
	case idlepush.KindMail:
		return q.decideMail()
	case idlepush.KindSummary:
		return q.decideSummary(), false
	}
	return ring.Decision{Verdict: ring.Now}, false
}

// wait returns the decision d, or that quiet hours or burst-limit hold the notification back.
func (q question) wait(d ring.Decision, passes bool) ring.Decision {
	alone := q.kind == idlepush.KindAttention || q.kind == ring.KindHeartbeat
	if !q.kind.IsOfMail() && !alone {
		return d
	}
	d = q.duringQuiet(d, passes)
	switch {
	case d.Verdict == ring.Held || alone || !q.opens.After(q.now):
		return d
	case passes && d.Code == codePerson:
		return decided(d, codeThrough, "people_burst", nil)
	case passes:
		return d
	}
	d.By = ring.Source{}
	return q.hold(d, q.opens, codeBurst)
}

// decideMail returns how mail rings at a time that is not quiet. passes reports whether it comes
// through quiet hours and burst-limit.
func (q question) decideMail() (d ring.Decision, passes bool) {
	if d, skipped := q.skip(); skipped {
		return d, false
	}
	important := q.wishes.includesPerson(q.facts)
	by := ring.Source{Rules: q.wishes.RulesSince}
	then, code, params := q.wishes.Otherwise, codeOtherwise, map[string]string(nil)
	if i := slices.IndexFunc(q.wishes.Rules, func(r ring.Rule) bool { return matches(r.If, q.folder, q.facts) }); i >= 0 {
		then, code, params = q.wishes.Rules[i].Then, codeRule, map[string]string{"rule": strconv.Itoa(i + 1)}
	} else if important {
		then.Ring = ring.VolumeNormal
	}
	d = ring.Decision{Verdict: ring.Now, Content: then.Content}
	switch then.Ring {
	case ring.VolumeNot:
		return decided(ring.Decision{Verdict: ring.Not, By: by}, code, "not", params), false
	case ring.VolumeSilent:
		d.Verdict, d.By = ring.Silent, by
		return decided(d, code, "silent", params), important
	case ring.VolumeLoud:
		d.Loud, d.By = true, by
		return decided(d, code, "loud", params), true
	}
	if important {
		d.Loud, d.By = true, by
		d.Code = codePerson
		return d, true
	}
	if code == codeRule {
		d.By = by
		d = decided(d, code, "ring", params)
	}
	return d, false
}

// decideSummary returns how a summary rings at a time that is not quiet.
func (q question) decideSummary() ring.Decision {
	if d, skipped := q.skip(); skipped {
		return d
	}
	if q.silent {
		return ring.Decision{Verdict: ring.Silent, Code: codeSilent}
	}
	return ring.Decision{Verdict: ring.Now}
}

// skip returns the decision about mail that folders or mutes keep from the device.
func (q question) skip() (d ring.Decision, skipped bool) {
	d.Verdict = ring.Not
	if folders, listed := q.on.Folders[q.account]; listed && q.folder != "" && !hasFolder(folders, q.folder) {
		d.Code, d.By.Folders = codeFolder, q.on.FoldersSince
		return d, true
	}
	m, muted := q.mute()
	if !muted {
		return d, false
	}
	d.By.Mute, d.Until = m.ID, m.Until
	if m.Until.IsZero() {
		return decided(d, codeMuted, string(m.Of)+"_for_ever", nil), true
	}
	return decided(d, codeMuted, string(m.Of), map[string]string{"until": q.localText(m.Until)}), true
}

// mute returns the mute that silences the notification, of several the one that ends last.
func (q question) mute() (last ring.Mute, muted bool) {
	for _, m := range q.wishes.Mutes {
		ended := !m.Until.IsZero() && !q.now.Before(m.Until)
		if ended || q.now.Before(m.Since) || m.Device != "" && m.Device != q.device || !q.isOf(m) {
			continue
		}
		if !muted || m.Until.IsZero() || !last.Until.IsZero() && m.Until.After(last.Until) {
			last, muted = m, true
		}
	}
	return last, muted
}

// isOf reports whether the notification is of what the mute names. A summary is of a mailbox only.
func (q question) isOf(m ring.Mute) bool {
	switch m.Of {
	case ring.MuteMailbox:
		return true
	case ring.MuteSender:
		return q.facts.From != "" && q.facts.From == m.Sender
	case ring.MuteConversation:
		return slices.ContainsFunc(m.Thread, func(id string) bool { return slices.Contains(q.facts.Thread, id) })
	}
	return false
}

// duringQuiet returns the decision d as the quiet hours of the device change it.
func (q question) duringQuiet(d ring.Decision, passes bool) ring.Decision {
	ends := q.quietEnds
	if ends == nil {
		ends = func() time.Time { return quietUntil(q.on.Quiet, q.now) }
	}
	until, by := ends(), ring.Source{Quiet: q.on.QuietSince}
	switch {
	case until.IsZero():
		return d
	case q.kind == idlepush.KindAttention && q.on.Quiet.Attention:
		d.By = by
		return decided(d, codeThrough, "attention", nil)
	case passes && q.on.Quiet.People:
		if d.Code == codeRule && d.Loud {
			return decided(d, codeThrough, "rule", map[string]string{"rule": d.Params["rule"]})
		}
		if d.Code == codeOtherwise && d.Loud {
			return decided(d, codeThrough, "otherwise", nil)
		}
		if d.Code == codePerson {
			return decided(d, codeThrough, "people", nil)
		}
		return d
	case q.on.Quiet.Mode != ring.QuietSilent:
		d.By = by
		return q.hold(d, until, codeQuiet)
	case d.Verdict == ring.Silent:
		return d
	}
	d.Verdict, d.Loud, d.Until, d.By = ring.Silent, false, until, by
	return decided(d, codeQuiet, "silent", map[string]string{"until": q.localText(until)})
}

// hold returns the decision d held until a time after now.
func (q question) hold(d ring.Decision, until time.Time, code codes.Code) ring.Decision {
	d.Verdict, d.Until, d.Loud, d.Code, d.Params = ring.Held, until, false, code, nil
	if code == codeQuiet {
		d.Params = map[string]string{"until": q.localText(until)}
	}
	return d
}

// decided returns the decision d with a code, its case and its other parameters.
func decided(d ring.Decision, code codes.Code, which string, params map[string]string) ring.Decision {
	d.Code, d.Params = code, map[string]string{codes.Case: which}
	maps.Copy(d.Params, params)
	return d
}
