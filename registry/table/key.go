package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Key is a key of type K. Keys are ordered by their bytes.
type Key[K any] interface {
	Prefix
	// Parse returns the key that Append has written, or an error if data is no such key. It must
	// not keep data.
	Parse(data []byte) (K, error)
}

// Prefix is the beginning of a key: the whole key or its first fields.
type Prefix interface {
	Append(data []byte) []byte
}

// encodeKey returns the bytes of a key. Most keys fit the capacity that it begins with.
func encodeKey(k Prefix) []byte { return k.Append(make([]byte, 0, 112)) }

func parse[K Key[K]](table string, data []byte) (K, error) {
	var none K
	k, err := none.Parse(data)
	if err != nil {
		return none, fmt.Errorf("%w: a key of %s cannot be read: %w", ErrCorrupt, table, err)
	}
	return k, nil
}

// Text is a key, or the last field of one.
type Text string

// Append implements [Key].
func (t Text) Append(data []byte) []byte { return append(data, t...) }

// Parse implements [Key].
func (Text) Parse(data []byte) (Text, error) { return Text(data), nil }

// AppendText appends a field that others follow. It must not contain a NUL.
func AppendText(data []byte, text string) []byte { return append(append(data, text...), 0) }

// AppendUint64 appends a number. Greater numbers come later.
func AppendUint64(data []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(data, n) }

// AppendUint32 appends a number. Greater numbers come later.
func AppendUint32(data []byte, n uint32) []byte { return binary.BigEndian.AppendUint32(data, n) }

// AppendTime appends a time, in nanoseconds since 1970. A time before 1970 becomes the first of
// them, and a time after 2262, which does not fit, the last.
func AppendTime(data []byte, t time.Time) []byte {
	earliest, latest := time.Unix(0, 0), time.Unix(0, math.MaxInt64)
	switch {
	case t.Before(earliest):
		t = earliest
	case t.After(latest):
		t = latest
	}
	return AppendUint64(data, uint64(t.UnixNano()))
}

// Fields splits a key into its fields, in the order in which they were appended.
type Fields struct {
	rest  []byte
	short bool // a field was missing or was another
}

// Split returns the fields of a key. It does not copy data.
func Split(data []byte) *Fields { return &Fields{rest: data} }

// Fixed returns the next n bytes. If fewer are left, it returns zeros, and Err an error.
func (f *Fields) Fixed(n int) []byte {
	if len(f.rest) < n {
		f.short = true
		return make([]byte, n)
	}
	field := f.rest[:n]
	f.rest = f.rest[n:]
	return field
}

// Mark reads one byte. If it is not b, Err returns an error.
func (f *Fields) Mark(b byte) { f.short = f.Fixed(1)[0] != b || f.short }

// Text returns a field of AppendText.
func (f *Fields) Text() string {
	field, rest, found := bytes.Cut(f.rest, []byte{0})
	f.rest, f.short = rest, f.short || !found
	return string(field)
}

// Uint64 returns a field of AppendUint64.
func (f *Fields) Uint64() uint64 { return binary.BigEndian.Uint64(f.Fixed(8)) }

// Uint32 returns a field of AppendUint32.
func (f *Fields) Uint32() uint32 { return binary.BigEndian.Uint32(f.Fixed(4)) }

// Time returns a field of AppendTime.
func (f *Fields) Time() time.Time { return time.Unix(0, int64(f.Uint64())) }

// Rest returns all bytes that are left, as text.
func (f *Fields) Rest() string {
	rest := string(f.rest)
	f.rest = nil
	return rest
}

// Err returns an error if the key did not have exactly the fields that were read.
func (f *Fields) Err() error {
	if f.short || len(f.rest) > 0 {
		return errors.New("it does not have the expected fields")
	}
	return nil
}

// Range is a range of keys. The zero Range has all keys.
type Range struct {
	low, high []byte // low <= key < high; a nil high is no bound, an empty one excludes all keys
}

// Under returns the range of the keys that begin with p.
func Under(p Prefix) Range {
	low := p.Append(nil)
	return Range{low, past(low)}
}

// From returns the keys of the range that are not less than p.
func (r Range) From(p Prefix) Range { return r.above(p.Append(nil)) }

// Past returns the keys of the range that are greater than p and do not begin with it.
func (r Range) Past(p Prefix) Range {
	low := past(p.Append(nil))
	if low == nil {
		return Range{high: []byte{}}
	}
	return r.above(low)
}

// Before returns the keys of the range that are less than p.
func (r Range) Before(p Prefix) Range {
	if high := p.Append([]byte{}); r.high == nil || bytes.Compare(high, r.high) < 0 {
		r.high = high
	}
	return r
}

func (r Range) above(low []byte) Range {
	if bytes.Compare(low, r.low) > 0 {
		r.low = low
	}
	return r
}

// past returns the least key that is greater than all keys that begin with prefix. It returns nil
// if no key is.
func past(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			next := slices.Clone(prefix[:i+1])
			next[i]++
			return next
		}
	}
	return nil
}

func (r Range) empty() bool { return r.high != nil && bytes.Compare(r.low, r.high) >= 0 }

func (r Range) contains(key []byte) bool {
	return bytes.Compare(key, r.low) >= 0 && (r.high == nil || bytes.Compare(key, r.high) < 0)
}
