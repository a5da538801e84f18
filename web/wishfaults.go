package web

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"idlepush/cleantext"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/ring"
)

// The forms of fields of Wishes.
var (
	colorForm = regexp.MustCompile(`^#[0-9a-f]{6}$`)
	soundForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
)

// wishes returns the wishes of the request and its faults. folders are those that rules can name.
func (in Wishes) wishes(folders []string) (w ring.Wishes, f faults) {
	w = ring.Wishes{Revision: in.Revision, Name: labelOf(in.Name), Color: strings.ToLower(in.Color), Sound: in.Sound, Otherwise: in.Otherwise.action()}
	if in.Name != "" && w.Name == "" {
		f.add(badLabel())
	}
	if w.Color != "" && !colorForm.MatchString(w.Color) {
		f.add(fault("color", "field_bad_color"))
	}
	if w.Sound != "" && !soundForm.MatchString(w.Sound) {
		f.add(fault("sound", "field_bad_sound"))
	}
	people, wrong := peopleOf(in.People)
	rules, wrongRules := rulesOf(in.Rules, folders)
	w.People, w.Rules = people, rules
	return w, slices.Concat(f, wrong, wrongRules)
}

// peopleOf returns the addresses and domains in lower case, each once, and the faults of others.
func peopleOf(texts []string) (people []string, f faults) {
	for i, text := range texts {
		who, isAddress := senderOf(text)
		switch {
		case who == "" || !isAddress && who[0] != '@':
			f.add(fault(indexed("people", i), "field_bad_person"))
		case !slices.Contains(people, who):
			people = append(people, who)
		}
	}
	return people, f
}

// senderOf returns a mail address, or a domain that begins with @, in lower case. The text may
// begin with a name, as mail programs copy it: Berta Baum <berta@example.org>. It returns "" for
// any other text.
func senderOf(text string) (sender string, isAddress bool) {
	sender = strings.ToLower(strings.TrimSpace(text))
	if inside, closed := strings.CutSuffix(sender, ">"); closed {
		sender = inside[strings.LastIndexByte(inside, '<')+1:]
	}
	at := strings.LastIndexByte(sender, '@')
	if at < 0 || !netguard.IsHostName(sender[at+1:]) || strings.ContainsFunc(sender, unicode.IsSpace) || !cleantext.IsVisible(sender) {
		return "", false
	}
	return sender, at > 0
}

// rulesOf returns the rules and their faults.
func rulesOf(in []rule, folders []string) (rules []ring.Rule, f faults) {
	for i, r := range in {
		f = append(f, r.If.faults(indexed("rules", i)+".if", folders)...)
		rules = append(rules, ring.Rule{If: ring.Match(r.If), Then: r.Then.action()})
	}
	return rules, f
}

// faults returns the faults of the match in the field at. folders are those that it can name.
func (m match) faults(at string, folders []string) (f faults) {
	texts := []struct {
		field string
		texts []string
	}{{"from", m.From}, {"to", m.To}, {"subject", m.Subject}, {"folder", m.Folder}, {"list", m.List}, {"words", m.Words}}
	empty := m.Bulk == nil && m.Attachment == nil && m.Answer == nil && m.First == nil && m.Above == 0 && m.Below == 0
	for _, of := range texts {
		empty = empty && len(of.texts) == 0
		for i, text := range of.texts {
			field := indexed(at+"."+of.field, i)
			switch {
			case of.field == "folder":
				f = append(f, folderFaults(field, text, folders)...)
			case strings.TrimSpace(text) == "":
				f.add(fault(field, "field_empty"))
			case !cleantext.IsVisible(text):
				f.add(fault(field, "field_control_characters"))
			}
		}
	}
	if empty {
		f.add(fault(at, "field_empty"))
	}
	if m.Below > 0 && m.Below < m.Above+2 {
		f.add(fault(at+".below", "field_too_small").with("limit", strconv.FormatInt(m.Above+2, 10)))
	}
	return f
}

// folderFaults returns a fault unless the folder, which is in the field, is one of folders.
func folderFaults(field, folder string, folders []string) (f faults) {
	if !slices.Contains(folders, folder) {
		f.add(fault(field, "field_unknown_folder").with(codes.Case, caseUnwatched))
	}
	return f
}
