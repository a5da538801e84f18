// Package codes gives what idlepush reports its two forms: a stable code with parameters for
// programs, and a sentence for people.
//
// Each package that reports something declares its codes in a file codes.go, as a list of [Entry].
// The store keeps a code and its parameters, and packages pass them on. Only the API, the page, a
// push and the log make the sentence. So another language is one more list of sentences. The
// program joins all lists to one [Table].
//
// It is a package of its own because watcher, push and web report codes, and may not import each
// other.
package codes

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Code names what happened. It is stable: programs compare it, and the store keeps it.
type Code string

// These parameters mean the same for every code. A sentence can only name Cause and Now.
const (
	Account = "account" // the mail address of the account in question; it precedes the sentence
	Said    = "said"    // the words of a mail server; they follow the sentence
	Case    = "case"    // selects one of the sentences of the code
	Cause   = "cause"   // another code, whose sentence is filled in, with the same parameters
	Now     = "now"     // what this machine's clock showed; a new value of it alone is no change
)

// Entry is one code.
type Entry struct {
	Code  Code
	Text  string            // the sentence, with its parameters in braces, such as {host}
	Cases map[string]string // other sentences, by the value of Case; nil: there is only one
}

// Params returns the names of the parameters of the entry, sorted.
func (e Entry) Params() []string {
	names := make(map[string]bool)
	for _, text := range e.texts() {
		for _, found := range parameter.FindAllString(text, -1) {
			names[found[1:len(found)-1]] = true
		}
	}
	if e.Cases != nil {
		names[Case] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (e Entry) texts() []string { return append(slices.Collect(maps.Values(e.Cases)), e.Text) }

var parameter = regexp.MustCompile(`\{[a-z_]+\}`)

// Table holds entries by their codes.
type Table map[Code]Entry

// Join returns the table of all lists. Of two entries with one code the later counts.
func Join(lists ...[]Entry) Table {
	t := make(Table)
	for _, list := range lists {
		for _, e := range list {
			t[e.Code] = e
		}
	}
	return t
}

// Codes returns all codes of the table, sorted.
func (t Table) Codes() []Code { return slices.Sorted(maps.Keys(t)) }

// Sentence returns the sentence of the code with the parameters filled in; empty for the empty
// code. In place of a missing parameter stands its name. If the table does not have the code, for
// example because an older version wrote it, the sentence shows the code itself.
func (t Table) Sentence(code Code, params map[string]string) string {
	if code == "" {
		return ""
	}
	text := t.fill(code, params, true)
	if account := params[Account]; account != "" {
		text = account + ": " + text
	}
	if said := params[Said]; said != "" {
		text += ` (the server says: "` + said + `")`
	}
	return text
}

// fill returns the sentence of one code. cause reports whether another may be part of it.
func (t Table) fill(code Code, params map[string]string, cause bool) string {
	e, ok := t[code]
	if !ok {
		return "Something happened that this version has no words for: " + string(code) + "."
	}
	text := e.Text
	if other, ok := e.Cases[params[Case]]; ok {
		text = other
	}
	return parameter.ReplaceAllStringFunc(text, func(found string) string {
		name := found[1 : len(found)-1]
		value, given := params[name]
		switch {
		case !given:
			return strings.ReplaceAll(name, "_", " ")
		case name == Cause && cause:
			return t.fill(Code(value), params, false)
		}
		return value
	})
}

// Check returns an error if the table does not have the code or its case. It also returns one if a
// parameter of the sentence is missing, or if the sentence does not name a parameter. Tests use it.
func (t Table) Check(code Code, params map[string]string) error {
	e, ok := t[code]
	if !ok {
		return fmt.Errorf("%q has no sentence", code)
	}
	text := e.Text
	if name, given := params[Case]; given {
		other, ok := e.Cases[name]
		switch {
		case ok:
			text = other
		case !strings.Contains(text, "{"+Cause+"}"): // whose case it may be
			return fmt.Errorf("%q has no case %q", code, name)
		}
	}
	named := map[string]bool{Account: true, Said: true, Case: true}
	for _, found := range parameter.FindAllString(text, -1) {
		name := found[1 : len(found)-1]
		named[name] = true
		if _, given := params[name]; !given {
			return fmt.Errorf("%q lacks its parameter %q", code, name)
		}
	}
	if named[Cause] {
		return nil // which has parameters of its own
	}
	for name := range params {
		if !named[name] {
			return fmt.Errorf("%q does not name the parameter %q", code, name)
		}
	}
	return nil
}
