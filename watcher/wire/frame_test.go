package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestFramer(t *testing.T) {
	t.Parallel()
	t.Run("responses end at their last line", responseEnds)
	t.Run("each limit ends a response that exceeds it by one, and no other", limitsAreExact)
	t.Run("a line that leaves something open ends at its end, and is unbalanced", unbalancedLine)
	t.Run("a waiting framer keeps little memory", waitingFramerMemory)
}

// feed feeds a framer input in pieces and returns its responses.
func feed(limits Limits, input []byte, piece func(left int) int) (responses []string, err error) {
	f := framer{limits: limits}
	for {
		raw, err := f.next()
		switch {
		case err != nil:
			return responses, err
		case raw != nil:
			responses = append(responses, string(raw))
			continue
		case len(input) == 0:
			return responses, nil
		}
		n := copy(f.readBuffer(), input[:min(max(piece(len(input)), 1), len(input))])
		f.filled(n)
		input = input[n:]
	}
}

func whole(left int) int { return left }

var fuzzLimits = Limits{Line: 64, Literal: 100, Response: 200, Depth: 4}

func FuzzFramer(f *testing.F) {
	for _, seed := range []string{
		"* OK hi {12}\r\n* 1 FETCH (UID 1 BODY[] {5}\r\na)\r\nb FLAGS ())\r\nT1 OK done\r\n",
		"* LIST () \"\\\"\" \"a (b\"\r\n\r\n\n+ \n* 5 EXISTS\n",
		"* X {3+}\r\nabc\r\n* X {03}\r\nabc {0}\r\n\r\n",
		"* X ((((((\r\n", "* X )\r\n", "* X \"\r\n", "* X {99999999999999999999}\r\n", "* X {101}\r\n", "*  ok {3}\r\n", "+ {3}\r\n", "* no\r\n",
		strings.Repeat("a", 65), "* X {90}\r\n" + strings.Repeat("b", 90) + " {90}\r\n" + strings.Repeat("\n", 100),
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		want, wantErr := feed(fuzzLimits, input, whole)
		next := uint32(size)
		for name, piece := range map[string]func(int) int{
			"single bytes": func(int) int { return 1 },
			"pieces":       func(int) int { next = next*1664525 + 1013904223; return int(next>>16)%(int(size)+1) + 1 },
		} {
			got, err := feed(fuzzLimits, input, piece)
			if strings.Join(got, "|") != strings.Join(want, "|") || errorText(err) != errorText(wantErr) {
				t.Fatalf("%s: %q %v, whole: %q %v", name, got, err, want, wantErr)
			}
		}
		all := strings.Join(want, "")
		if !bytes.HasPrefix(input, []byte(all)) {
			t.Fatalf("%q is not the beginning of %q", all, input)
		}
		for _, r := range want {
			if len(r) > fuzzLimits.Response || !strings.HasSuffix(r, "\n") {
				t.Fatalf("response of %d bytes: %q", len(r), r)
			}
			// A response by itself is one response.
			if again, err := feed(fuzzLimits, []byte(r), whole); err != nil || len(again) != 1 {
				t.Fatalf("%q framed again: %q, %v", r, again, err)
			}
			parse([]byte(r))
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func responseEnds(t *testing.T) {
	t.Parallel()
	for _, responses := range [][]string{
		{"* OK hi\r\n", "T1 OK done\r\n"},
		{"* OK see {12}\r\n", "* NO (\"\r\n", "* bye \"{3}\r\n", "T1 NO {5}\r\n", "+ {5}\r\n", "* 5 EXISTS\r\n"},
		{"* 1 FETCH (BODY[] {14}\r\n* 7 EXISTS\r\n) FLAGS ())\r\n", "* 8 EXISTS\r\n"},
		{"* 1 FETCH (BODY[A] {2}\r\n\r\n BODY[B] {0}\r\n BODY[C] {5+}\r\n)))\r\n)\r\n", "T1 OK\r\n"},
		{"* LIST () \"\\\\\" \"a\\\"( {3}\"\r\n", "* LIST () \"/\" {3}\r\na\nb\r\n"},
		{"* OK bare\n", "\n", "\r\n", "* 1 FETCH (BODY[] {2}\nab)\n"},
		{"*  OK {9}\r\n", "* 1 EXISTS\r\n"},
	} {
		got, err := feed(DefaultLimits, []byte(strings.Join(responses, "")), whole)
		if err != nil || strings.Join(got, "|") != strings.Join(responses, "|") {
			t.Errorf("%q, %v, want %q", got, err, responses)
		}
	}
}

func limitsAreExact(t *testing.T) {
	t.Parallel()
	limits := Limits{Line: 40, Literal: 30, Response: 60, Depth: 3}
	fill := func(n int) string { return strings.Repeat("x", n) }
	for _, test := range []struct{ fits, exceeds, limit string }{
		{"* OK " + fill(33) + "\r\n", "* OK " + fill(34) + "\r\n", "line"},
		{"* X {30}\r\n" + fill(30) + "\r\n", "* X {31}\r\n", "literal"},
		{"* X {30}\r\n" + fill(30) + fill(18) + "\r\n", "* X {30}\r\n" + fill(30) + fill(19) + "\r\n", "response"},
		{"* X ((()))\r\n", "* X ((((\r\n", "depth"},
	} {
		if got, err := feed(limits, []byte(test.fits), whole); err != nil || len(got) != 1 {
			t.Errorf("%s: %q, %v", test.limit, got, err)
		}
		_, err := feed(limits, []byte(test.exceeds), whole)
		if limit, ok := errors.AsType[*LimitError](err); !ok || limit.Limit != test.limit {
			t.Errorf("%s exceeded: %v", test.limit, err)
		}
	}
}

// A quoted string does not go beyond its line, and a literal is announced at the end of one:
// a quote or list that is left open hides no end.
func unbalancedLine(t *testing.T) {
	t.Parallel()
	for _, input := range []string{
		"* XFOO it's 5\" long\r\n",
		"* X \"a\\\"\r\n",
		"* X \"{3}\r\nabc\r\n",
		"* 1 FETCH (FLAGS (a\"b) BODY[] {14}\r\n* 7 EXISTS\r\n))\r\n",
		"* 1 FETCH (FLAGS ()\r\n",
		"* 1 FETCH (BODY[] {1}\r\na\r\n",
		"* 1 FETCH ())\r\n",
		"* 1 FETCH (BODY[] {1}\r\na))(\r\n",
	} {
		f := framer{limits: DefaultLimits}
		f.filled(copy(f.readBuffer(), input+"* 8 EXISTS\r\n"))
		raw, err := f.next()
		if err != nil || string(raw) != input || !f.unbalanced {
			t.Errorf("%q: %q, odd %v, %v", input, raw, f.unbalanced, err)
		}
		raw, err = f.next()
		if err != nil || string(raw) != "* 8 EXISTS\r\n" || f.unbalanced {
			t.Errorf("behind %q: %q, odd %v, %v", input, raw, f.unbalanced, err)
		}
	}
}

func waitingFramerMemory(t *testing.T) {
	t.Parallel()
	f := framer{limits: DefaultLimits}
	input := []byte("* 1 FETCH (BODY[] {100000}\r\n" + strings.Repeat("x", 100_000) + ")\r\n")
	for len(input) > 0 {
		n := copy(f.readBuffer(), input)
		f.filled(n)
		input = input[n:]
	}
	if raw, err := f.next(); raw == nil || err != nil {
		t.Fatal(err)
	}
	if readBuffer := f.readBuffer(); len(readBuffer) != waitingBuffer || cap(f.buf) != waitingBuffer {
		t.Errorf("room of %d in a buffer of %d", len(readBuffer), cap(f.buf))
	}
}
