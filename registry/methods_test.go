package registry

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/fxamacker/cbor/v2"
	bolt "go.etcd.io/bbolt"

	"idlepush/registry/table"
	"idlepush/registry/testenv"
)

// call is one way to call a method of the furnished store.
type call struct {
	method, when string
	do           func(f furnished) (any, error)
	// reads are the columns that the call cannot do without, and in how many rows: "queues" is the
	// rows of that table, "meta sealed" what is sealed in them. Damage to one of these is an error,
	// and damage to any other changes nothing. For damage to rows with tags see holdTagged.
	reads string
	// halfway says why a call that fails may have done part of its work: then each row is as it was
	// or as a call that succeeds leaves it. Empty: all rows are as they were.
	halfway  string
	renews   string                  // the tagged table of which it writes a whole row
	forgives int                     // the transaction that the call can do without; 0: none
	before   func(f furnished) error // done first, in a store that is whole
}

func only(err error) (any, error) { return nil, err }

func two[A, B any](a A, b B, err error) (any, error) { return []any{a, b}, err }

// readless are the methods that read no row.
var readless = map[string]string{
	"Mail.Changed":       "gives a channel",
	"Outbox.Changed":     "gives a channel",
	"Outbox.TestReceipt": "makes a token with the key of the store",
	"History.Listen":     "keeps what it is told in memory",
	"Warnings":           "gives what Open has found",
	"Close":              "closes the file",
	"Key":                "gives what Open was given",
	"Snapshot":           "copies the file, whatever it has",
	"ReadAll":            "reads everything: see TestReadAll",
	"CheckModes":         "looks at the files, not into the store",
}

// methods returns what can be called of a store: "Users.Get" is a method of a handle, "Close" one
// of the store.
func methods() (names []string) {
	for m := range reflect.TypeFor[*Store]().Methods() {
		names = append(names, m.Name)
	}
	for field := range reflect.TypeFor[Store]().Fields() {
		if field.Anonymous {
			continue
		}
		for m := range field.Type.Methods() {
			names = append(names, field.Name+"."+m.Name)
		}
	}
	return names
}

// column is what can be damaged of the rows of a table.
type column struct {
	name, table string
	damage      func(value []byte) []byte // gives nil for a row that has no such column
}

// columns are those of the tables of the file that was dumped, or of its indexes.
func columns(dump map[string]string, ofIndexes bool) (list []column) {
	var seen []string
	for _, name := range slices.Sorted(maps.Keys(dump)) {
		table, _, _ := strings.Cut(name, " ")
		if slices.Contains(seen, table) || strings.Contains(table, "/") != ofIndexes {
			continue
		}
		if slices.Contains(tagged, table) {
			continue
		}
		seen = append(seen, table)
		list = append(list, column{table, table, brokenRow})
		if !ofIndexes {
			list = append(list, column{table + " sealed", table, brokenSeal})
		}
	}
	return list
}

// tagged are the tables whose rows have tags.
var tagged = []string{users.Name(), tokens.Name(), invites.Name(), accounts.Name(), clients.Name(), grants.Name(), devices.Name(), wishes.Name(), deviceWishes.Name()}

// brokenTag is a row that can be read, but not with the key.
func brokenTag(value []byte) []byte { return append([]byte{value[0] ^ 1}, value[1:]...) }

// brokenRow is a row that cannot be read, or an entry of an index that leads nowhere.
func brokenRow(value []byte) []byte { return append([]byte{'x'}, value[:min(1, len(value))]...) }

func brokenSeal(value []byte) []byte {
	var row map[string]cbor.RawMessage
	if cbor.Unmarshal(value, &row) != nil {
		return nil
	}
	for _, name := range []string{"Sealed", "Secrets", "Secret", "Password"} {
		var sealed []byte
		if row[name] == nil || cbor.Unmarshal(row[name], &sealed) != nil || len(sealed) == 0 {
			continue
		}
		sealed[len(sealed)-1] ^= 1
		return bytes.Replace(value, row[name], must(cbor.Marshal(sealed)), 1)
	}
	return nil
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// dumpFile puts rows into the file of a store that is closed, and returns all that it holds then,
// by table and key.
func dumpFile(t testing.TB, dir string, rows map[string][]byte) map[string]string {
	t.Helper()
	held := make(map[string]string)
	db, err := bolt.Open(filepath.Join(dir, storeFile), 0o600, &bolt.Options{NoSync: true, Timeout: table.LockWait})
	if err != nil {
		t.Fatal(err)
	}
	read := func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				held[string(name)+" "+string(k)] = string(v)
				return nil
			})
		})
	}
	write := func(tx *bolt.Tx) error {
		for name, value := range rows {
			bucket, key, _ := strings.Cut(name, " ")
			if err := tx.Bucket([]byte(bucket)).Put([]byte(key), value); err != nil {
				return err
			}
		}
		return read(tx)
	}
	if len(rows) > 0 {
		err = db.Update(write)
	} else {
		err = db.View(read)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return held
}

// trial is what came of one call.
type trial struct {
	result        any
	err           error
	before, after map[string]string
	asked         int // transactions
}

// stage makes one trial after another, each on a store of its own.
type stage struct {
	f    furnished
	dir  string
	made map[string][]byte
}

// try makes the call with the damaged rows and lets its transaction of that number fail; 0: none.
func (g stage) try(t *testing.T, c call, damaged map[string][]byte, fails int) (got trial) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(g.dir, setupFile)); err != nil {
		t.Fatal(err)
	}
	for name, data := range g.made {
		putFile(t, filepath.Join(g.dir, name), data)
	}
	// The same call makes the same ids and seals, but not those of furnish.
	cryptotest.SetGlobalRandom(t, 2)
	if c.before != nil {
		f := g.f.again(t, g.dir, unsynced)
		if err := errors.Join(c.before(f), f.s.db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	got.before = dumpFile(t, g.dir, damaged)
	armed := false
	f := g.f.again(t, g.dir, Options{NoSync: true, Fault: func() error {
		if armed {
			if got.asked++; got.asked == fails {
				return errFault
			}
		}
		return nil
	}})
	armed = true
	done := make(chan struct{})
	go func() {
		defer close(done)
		got.result, got.err = c.do(f)
	}()
	select {
	case <-done:
	case <-testenv.Context(t).Done():
		t.Fatalf("it does not end")
	}
	armed = false
	if err := f.s.db.Close(); err != nil {
		t.Error(err)
	}
	got.after = dumpFile(t, g.dir, nil)
	return got
}

// damagedRows gives the rows of the dump that have one of the columns, each without it. Two rows of
// meta are read when the store is opened.
func damagedRows(dump map[string]string, list ...column) map[string][]byte {
	rows := make(map[string][]byte)
	for name, value := range dump {
		table, key, _ := strings.Cut(name, " ")
		if key == string(metaFormat) || key == string(metaSequence) {
			continue
		}
		for _, c := range list {
			if table == c.table && rows[name] == nil {
				if broken := c.damage([]byte(value)); broken != nil {
					rows[name] = broken
				}
			}
		}
	}
	return rows
}

// sameBut holds a call that succeeded beside damaged rows to what it does in a store that is whole.
// A row that it changes without a look at what is sealed keeps that damage.
func sameBut(t *testing.T, what string, got, whole trial, damaged map[string][]byte) {
	t.Helper()
	if !reflect.DeepEqual(got.result, whole.result) {
		t.Errorf("%s: it gives %+v, want %+v", what, got.result, whole.result)
	}
	want, kept := maps.Clone(whole.after), maps.Clone(whole.after)
	for name := range damaged {
		if whole.after[name] == whole.before[name] {
			want[name] = got.before[name] // which it has not touched
		}
		if table, _, _ := strings.Cut(name, " "); strings.Contains(table, "/") {
			delete(got.after, name)
			delete(want, name)
			delete(kept, name)
		}
		if broken := brokenSeal([]byte(whole.after[name])); broken != nil {
			kept[name] = string(broken)
		}
	}
	differ(t, what, got.after, want, kept)
}

// failed holds a call that failed to what it may leave.
func (g stage) failed(t *testing.T, what string, got, whole trial, c call, damaged map[string][]byte) {
	t.Helper()
	if crash, ok := errors.AsType[runtime.Error](got.err); ok {
		t.Errorf("%s: it panics: %v", what, crash)
	}
	if c.halfway == "" {
		differ(t, what, got.after, got.before)
		return
	}
	mended := make(map[string][]byte)
	for name := range damaged {
		if table, _, _ := strings.Cut(name, " "); strings.Contains(table, "/") {
			return // what is left cannot be mended by the entry alone
		}
		if got.after[name] == got.before[name] {
			mended[name] = []byte(whole.before[name])
		}
	}
	dumpFile(t, g.dir, mended)
	f := g.f.again(t, g.dir, unsynced)
	_, err := c.do(f)
	checkRows(t, f.s)
	if err := errors.Join(err, f.s.db.Close()); err != nil {
		t.Errorf("%s, and the call is repeated: %v", what, err)
	}
	differ(t, what+", and the call is repeated", dumpFile(t, g.dir, nil), whole.after)
}

// TestMethods and changes nothing then. With a bound, a call may take
// several transactions, of which the first stand: see TestCallsInSteps.
func TestMethods(t *testing.T) {
	if boundGiven() > 0 {
		return
	}
	cryptotest.SetGlobalRandom(t, 1)
	s := newStore(t)
	g := stage{f: furnish(t, s), dir: t.TempDir()}
	g.made = filesOf(t, s)
	all := methods()
	for _, name := range all {
		if readless[name] == "" && !slices.ContainsFunc(calls, func(c call) bool { return c.method == name }) {
			t.Errorf("no call of %s", name)
		}
	}
	for _, c := range calls {
		if !slices.Contains(all, c.method) {
			t.Errorf("there is no %s", c.method)
		}
		t.Run(strings.TrimSpace(c.method+" "+c.when), func(t *testing.T) { g.hold(t, c) })
	}
}

// hold makes the call in a store that is whole, and then with every damage and fault.
func (g stage) hold(t *testing.T, c call) {
	whole := g.try(t, c, nil, 0)
	if whole.err != nil {
		t.Fatalf("in a store that is whole: %v", whole.err)
	}
	g.holdDamaged(t, c, whole)
	g.holdTagged(t, c, whole)
	for n := 1; n <= whole.asked; n++ {
		what := fmt.Sprintf("transaction %d of %d fails", n, whole.asked)
		got := g.try(t, c, nil, n)
		want := errFault
		if n == c.forgives {
			want = nil
		}
		if !errors.Is(got.err, want) {
			t.Errorf("%s: the error is %v, want %v", what, got.err, want)
		}
		if got.err != nil {
			g.failed(t, what, got, whole, c, nil)
		}
	}
}

// holdDamaged makes the call with every damage.
func (g stage) holdDamaged(t *testing.T, c call, whole trial) {
	var unread []column
	var reads []string
	for _, col := range columns(whole.before, false) {
		if !slices.ContainsFunc(strings.Split(c.reads, ", "), func(r string) bool { return strings.TrimRight(r, " 0123456789") == col.name }) {
			unread = append(unread, col)
			continue
		}
		noticed := 0
		for name, value := range damagedRows(whole.before, col) {
			if g.damage(t, c, whole, fmt.Sprintf("damage to %s, %q", col.name, name), map[string][]byte{name: value}) {
				noticed++
			}
		}
		reads = append(reads, fmt.Sprint(col.name, " ", noticed))
	}
	if got := strings.Join(reads, ", "); got != c.reads {
		t.Errorf("it notices damage to %s, want %s", got, c.reads)
	}
	if what := "damage to what it does not read"; g.damage(t, c, whole, what, damagedRows(whole.before, unread...)) {
		t.Error(what)
	}
	for _, index := range columns(whole.before, true) {
		g.damage(t, c, whole, "damage to "+index.name, damagedRows(whole.before, index))
	}
}

// holdTagged makes the call with each row damaged that has a tag. To the call it is as if that row
// were not there. It never gets a tag anew: who wrote it would have done so with the key.
func (g stage) holdTagged(t *testing.T, c call, whole trial) {
	for _, of := range tagged {
		for _, damage := range []func([]byte) []byte{brokenRow, brokenTag} {
			for name, value := range damagedRows(whole.before, column{of, of, damage}) {
				got := g.try(t, c, map[string][]byte{name: value}, 0)
				if _, panics := errors.AsType[runtime.Error](got.err); panics || errors.Is(got.err, ErrCorrupt) {
					t.Errorf("damage to %s, %q: %v", of, name, got.err)
				}
				if after, there := got.after[name]; there && after != string(value) && of != c.renews {
					t.Errorf("damage to %s, %q: it was written anew as %q", of, name, after)
				}
			}
		}
	}
}

// damage makes the call with damaged rows and reports whether it noticed.
func (g stage) damage(t *testing.T, c call, whole trial, what string, damaged map[string][]byte) (noticed bool) {
	t.Helper()
	got := g.try(t, c, damaged, 0)
	if got.err == nil {
		sameBut(t, what, got, whole, damaged)
		return false
	}
	if !errors.Is(got.err, ErrCorrupt) {
		t.Errorf("%s: %v", what, got.err)
	}
	g.failed(t, what, got, whole, c, damaged)
	return true
}
