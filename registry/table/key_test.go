package table

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"idlepush/registry/testenv"
)

func TestRange(t *testing.T) {
	t.Parallel()
	keys := []string{"", "\x00", "a", "a\x00", "a\xff", "a\xff\xff", "b", "b\x01", "\xfe\xff", "\xff", "\xff\x00", "\xff\xff"}
	for name, c := range map[string]struct {
		r    Range
		want []string
	}{
		"all":                        {Range{}, keys},
		"under nothing":              {Under(Text("")), keys},
		"under a prefix":             {Under(Text("a")), []string{"a", "a\x00", "a\xff", "a\xff\xff"}},
		"under 0xff":                 {Under(Text("\xff")), []string{"\xff", "\xff\x00", "\xff\xff"}},
		"under a prefix with 0xff":   {Under(Text("a\xff")), []string{"a\xff", "a\xff\xff"}},
		"under a missing prefix":     {Under(Text("c")), nil},
		"from nothing":               {Range{}.From(Text("")), keys},
		"from a key":                 {Range{}.From(Text("\xfe")), []string{"\xfe\xff", "\xff", "\xff\x00", "\xff\xff"}},
		"from below the range":       {Under(Text("b")).From(Text("a")), []string{"b", "b\x01"}},
		"from above the range":       {Under(Text("a")).From(Text("b")), nil},
		"past a key":                 {Range{}.Past(Text("b")), []string{"\xfe\xff", "\xff", "\xff\x00", "\xff\xff"}},
		"past a key with 0xff":       {Under(Text("a")).Past(Text("a\x00")), []string{"a\xff", "a\xff\xff"}},
		"past the last":              {Range{}.Past(Text("\xff\xff")), nil},
		"past a prefix with 0xff":    {Range{}.Past(Text("\xff")), nil},
		"past nothing":               {Range{}.Past(Text("")), nil},
		"past the last, from, under": {Range{}.Past(Text("\xff")).From(Text("a")).Before(Text("b")), nil},
		"before nothing":             {Range{}.Before(Text("")), nil},
		"before a key":               {Range{}.Before(Text("a\x00")), []string{"", "\x00", "a"}},
		"before, above the range":    {Under(Text("b")).Before(Text("c")), []string{"b", "b\x01"}},
		"before, below the range":    {Under(Text("b")).Before(Text("a")), nil},
		"before, and before that":    {Range{}.Before(Text("a")).Before(Text("b")), []string{"", "\x00"}},
		"between":                    {Range{}.From(Text("a\x00")).Before(Text("b")), []string{"a\x00", "a\xff", "a\xff\xff"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, k := range keys {
				if c.r.contains([]byte(k)) {
					got = append(got, k)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if c.r.empty() && len(got) > 0 {
				t.Error("empty returns true")
			}
		})
	}
}

// TestRangeRandomKeys compares Range with the documentation of its methods.
func TestRangeRandomKeys(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	key := func() []byte {
		k := make([]byte, random.IntN(4))
		for i := range k {
			k[i] = []byte{0, 1, 0xfe, 0xff}[random.IntN(4)]
		}
		return k
	}
	for range testenv.Tenth(200_000) {
		k, under, from, past, before := key(), key(), key(), key(), key()
		r := Under(Text(under)).From(Text(from)).Past(Text(past)).Before(Text(before))
		want := bytes.HasPrefix(k, under) && bytes.Compare(k, from) >= 0 && bytes.Compare(k, before) < 0 &&
			bytes.Compare(k, past) > 0 && !bytes.HasPrefix(k, past)
		if got := r.contains(k); got != want {
			t.Fatalf("% x under % x from % x past % x before % x: %v", k, under, from, past, before, got)
		}
	}
}

func TestKeyOrder(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for name, list := range map[string][][]byte{
		"numbers of 64 bits": {AppendUint64(nil, 0), AppendUint64(nil, 255), AppendUint64(nil, 256), AppendUint64(nil, math.MaxUint64)},
		"numbers of 32 bits": {AppendUint32(nil, 0), AppendUint32(nil, 255), AppendUint32(nil, 256), AppendUint32(nil, math.MaxUint32)},
		"times": {AppendTime(nil, time.Unix(0, 0)), AppendTime(nil, day), AppendTime(nil, day.Add(1)),
			AppendTime(nil, day.AddDate(7000, 0, 0))},
		"texts": {AppendText(nil, ""), AppendText(nil, "a"), AppendText(nil, "a\x01"), AppendText(nil, "aa"), AppendText(nil, "b")},
	} {
		if !slices.IsSortedFunc(list, bytes.Compare) {
			t.Errorf("%s: % x", name, list)
		}
	}
	if early := AppendTime(nil, time.Time{}); !bytes.Equal(early, AppendTime(nil, time.Unix(0, 0))) {
		t.Errorf("the zero time is % x", early)
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 1, 0, 0, 0, 7, time.UTC)
	data := append(AppendTime(AppendUint32(AppendUint64(AppendText([]byte("fix"), "text"), 8), 9), at), "rest"...)
	read := func(data []byte) (string, error) {
		f := Split(data)
		return fmt.Sprint(string(f.Fixed(3)), f.Text(), f.Uint64(), f.Uint32(), f.Time().UTC() == at, f.Rest()), f.Err()
	}
	if got, err := read(data); got != fmt.Sprint("fix", "text", 8, 9, true, "rest") || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	for n := range len(data) - len("rest") {
		if _, err := read(data[:n]); err == nil {
			t.Errorf("%d of %d bytes are accepted", n, len(data))
		}
	}
	for data, want := range map[string]bool{"x": true, "y": false, "": false} {
		f := Split([]byte(data))
		if f.Mark('x'); (f.Err() == nil) != want {
			t.Errorf("%q has the mark x: %v", data, f.Err())
		}
	}
	if _, err := (number(0)).Parse(make([]byte, 9)); err == nil {
		t.Error("a key with a byte too many is accepted")
	}
}
