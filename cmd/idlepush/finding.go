package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"idlepush"
	"idlepush/codes"
)

// finding is one line of a report, fit to be shown to others.
type finding struct {
	Verdict idlepush.Verdict
	Subject string // the part that was examined, such as "clock"
	Text    string // the result, and what to do
	Took    time.Duration
}

// findings makes those of one subject.
type findings struct {
	subject string
	list    []finding
}

func (f *findings) add(v idlepush.Verdict, took time.Duration, format string, args ...any) {
	f.list = append(f.list, finding{v, f.subject, fmt.Sprintf(format, args...), took})
}

func (f *findings) ok(format string, args ...any)   { f.add(idlepush.VerdictOK, 0, format, args...) }
func (f *findings) look(format string, args ...any) { f.add(idlepush.VerdictLook, 0, format, args...) }
func (f *findings) wrong(format string, args ...any) {
	f.add(idlepush.VerdictWrong, 0, format, args...)
}

// findingOf returns a step as a finding.
func findingOf(subject string, s idlepush.Step, texts codes.Table) finding {
	return finding{s.Verdict, subject, texts.Sentence(s.Code, s.Params), s.Took}
}

// address matches a mail address.
var address = regexp.MustCompile(`([^\s@<>"'(),:;]+)@([A-Za-z0-9.-]+)`)

// shorten leaves of each mail address in a text its first character and its domain: a report is
// pasted in public.
func shorten(text string) string {
	return address.ReplaceAllStringFunc(text, func(found string) string {
		local, domain, _ := strings.Cut(found, "@")
		return string([]rune(local)[:1]) + "…@" + domain
	})
}

// report prints findings.
type report struct {
	out    io.Writer
	counts map[idlepush.Verdict]int
}

// print prints a finding: at least a millisecond of time is shown.
func (r *report) print(f finding) {
	if r.counts == nil {
		r.counts = make(map[idlepush.Verdict]int)
	}
	r.counts[f.Verdict]++
	text := f.Text
	if f.Took >= time.Millisecond {
		text += fmt.Sprintf(" (%d ms)", f.Took.Milliseconds())
	}
	fmt.Fprintf(r.out, "%-5s  %-10s  %s\n", f.Verdict, f.Subject, shorten(text))
}

// errFound reports that an examination has found something wrong, which it has printed.
var errFound = errors.New("something is wrong")

// end prints the sum, and returns errFound if something is wrong.
func (r *report) end() error {
	wrong, look := r.counts[idlepush.VerdictWrong], r.counts[idlepush.VerdictLook]
	switch {
	case wrong > 0:
		fmt.Fprintf(r.out, "\n%d wrong, %d to look at\n", wrong, look)
		return errFound
	case look > 0:
		fmt.Fprintf(r.out, "\nnothing is wrong, %d to look at\n", look)
	default:
		fmt.Fprint(r.out, "\nnothing is wrong\n")
	}
	return nil
}
