package registry

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"idlepush"
	v1 "idlepush/registry/migrate/v1"
	"idlepush/registry/table"
	"idlepush/ring"
)

// freeze compares one table of today with the one that package v1 has frozen, and writes its rows
// to another store through the frozen one.
type freeze func(t *testing.T, from *table.Tx, to *table.DB)

func frozen[K table.Key[K], V any, FK table.Key[FK], FV any](today *table.Table[K, V], as *table.Table[FK, FV]) freeze {
	return func(t *testing.T, from *table.Tx, to *table.DB) {
		sameShape(t, reflect.TypeFor[V]().Name(), reflect.TypeFor[V](), reflect.TypeFor[FV]())
		rows, frozen := all(t, from, today), all(t, from, as)
		if len(rows) == 0 || len(rows) != len(frozen) {
			t.Fatalf("%d rows of %T, %d as it is frozen", len(rows), *new(V), len(frozen))
		}
		err := to.Update(func(tx *table.Tx) error {
			for i, row := range rows {
				if key, was := row.Key.Append(nil), frozen[i].Key.Append(nil); string(key) != string(was) {
					t.Errorf("the key of a %T is %q, frozen %q", row.Value, key, was)
				}
				if is, was := marshal(t, row.Value), marshal(t, frozen[i].Value); is != was {
					t.Errorf("a %T is %s, frozen %s", row.Value, is, was)
				}
				if err := as.Put(tx, frozen[i].Key, frozen[i].Value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func marshal(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// ownForm are the interfaces by which a type has a form of its own in the file.
var ownForm = []reflect.Type{
	reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextMarshaler](),
	reflect.TypeFor[encoding.TextUnmarshaler](), reflect.TypeFor[encoding.BinaryAppender](), reflect.TypeFor[encoding.BinaryUnmarshaler](),
}

// encodedAs returns the name and the options with which JSON encodes the field.
func encodedAs(f reflect.StructField) string {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return cmp.Or(name, f.Name) + "," + options
}

// sameShape checks that two types have the same form in the file: the same fields by their encoded
// names, with the same options.
func sameShape(t *testing.T, where string, is, was reflect.Type) {
	t.Helper()
	if is == was {
		return
	}
	if is.Kind() != was.Kind() {
		t.Errorf("%s is %v, frozen as %v: that is another format", where, is, was)
		return
	}
	for _, form := range ownForm {
		if reflect.PointerTo(is).Implements(form) || reflect.PointerTo(was).Implements(form) {
			t.Errorf("%s: %v has a form of its own, which this cannot compare", where, is)
		}
	}
	switch is.Kind() {
	case reflect.Struct:
		for i := range max(is.NumField(), was.NumField()) {
			if i >= is.NumField() || i >= was.NumField() {
				t.Errorf("%s has %d fields, frozen %d: that is another format", where, is.NumField(), was.NumField())
				return
			}
			f, old := is.Field(i), was.Field(i)
			if got, want := encodedAs(f), encodedAs(old); got != want || f.Anonymous || old.Anonymous {
				t.Errorf("%s.%s is encoded as %q; %s is frozen as %q: that is another format", where, f.Name, got, old.Name, want)
			}
			sameShape(t, where+"."+f.Name, f.Type, old.Type)
		}
	case reflect.Array:
		if is.Len() != was.Len() {
			t.Errorf("%s has %d elements, frozen %d", where, is.Len(), was.Len())
		}
		sameShape(t, where+"[]", is.Elem(), was.Elem())
	case reflect.Map:
		sameShape(t, where+" key", is.Key(), was.Key())
		sameShape(t, where+"[]", is.Elem(), was.Elem())
	case reflect.Slice, reflect.Pointer:
		sameShape(t, where+"[]", is.Elem(), was.Elem())
	}
}

// index returns the entries of an index of today, in words.
type index func(t testing.TB, tx *table.Tx) (name string, entries []string)

func entries[I table.Key[I], K table.Key[K], V any](name string, of *table.Index[I, K, V]) index {
	return func(t testing.TB, tx *table.Tx) (string, []string) {
		return name, inWords(t, tx, of, table.Range{})
	}
}

// marked is entries for an index that shares its name: its keys have the mark behind the scope.
func marked[I table.Key[I], K table.Key[K], V any](name string, mark byte, of *table.Index[I, K, V]) index {
	return func(t testing.TB, tx *table.Tx) (string, []string) {
		scopes := make(map[id]bool)
		for _, row := range all(t, tx, notifications) {
			scopes[row.Key.scope] = true
		}
		var words []string
		for _, scope := range slices.Sorted(maps.Keys(scopes)) {
			words = append(words, inWords(t, tx, of, table.Under(table.Text(append(scope.Append(nil), mark))))...)
		}
		return name, words
	}
}

func inWords[I table.Key[I], K table.Key[K], V any](t testing.TB, tx *table.Tx, of *table.Index[I, K, V], r table.Range) (words []string) {
	t.Helper()
	list, err := of.First(tx, r, table.NoLimit)
	if err != nil {
		t.Errorf("%s: %v", of.Name(), err)
	}
	for _, e := range list {
		words = append(words, fmt.Sprintf("%q: %q", e.Index.Append(nil), e.Key.Append(nil)))
	}
	return words
}

var (
	frozenTables = []freeze{
		frozen(users, v1.Users), frozen(tokens, v1.Tokens), frozen(invites, v1.Invites), frozen(accounts, v1.Accounts), frozen(clients, v1.Clients), frozen(grants, v1.Grants),
		frozen(asked, v1.Asked), frozen(standings, v1.Standings), frozen(cursors, v1.Cursors), frozen(hosts, v1.Hosts), frozen(guesses, v1.Guesses), frozen(devices, v1.Devices),
		frozen(wishes, v1.WishesOf), frozen(deviceWishes, v1.DeviceWishesOf), frozen(senders, v1.Senders),
		frozen(queues, v1.Queues), frozen(lanes, v1.Lanes), frozen(trips, v1.Trips), frozen(notifications, v1.Notifications),
		frozen(deliveries, v1.Deliveries), frozen(metas, v1.Metas),
	}
	indexes = []index{
		entries("usersNamed", usersNamed), entries("usersOver", usersOver), entries("tokensOf", tokensOf), entries("tokensID", tokensID), entries("invitesOf", invitesOf),
		entries("invitesID", invitesID), entries("passwordLinks", passwordLinks), entries("accountsOf", accountsOf), entries("accountsFor", accountsFor), entries("accountsAt", accountsAt),
		entries("devicesID", devicesID), entries("devicesAt", devicesAt), entries("due", due), marked("byStableID", stableMark, byStableID),
		marked("byFingerprint", fingerprintMark, byFingerprint), marked("duplicates", duplicateMark, duplicates), marked("known", knownMark, known),
		marked("announced", placeMark, announced), entries("wordless", wordless),
		entries("notRung", notRung), entries("undecided", undecided),
		entries("unfinished", unfinished), entries("waiting", waiting),
	}
)

// A change of a row, a key or an index that fails this is another format: it needs a version of its
// own, with a package like v1 and a step, and this test the newer package.
func TestFrozenFormat(t *testing.T) {
	t.Parallel()
	if newestVersion() != v1.Format {
		t.Errorf("the format is %d, and this compares %d", newestVersion(), v1.Format)
	}
	sameShape(t, "deviceSecrets", reflect.TypeFor[deviceSecrets](), reflect.TypeFor[v1.DeviceSecrets]())
	sameShape(t, "notificationContent", reflect.TypeFor[notificationContent](), reflect.TypeFor[v1.Content]())
	sameShape(t, "Wishes", reflect.TypeFor[ring.Wishes](), reflect.TypeFor[v1.Wishes]())
	sameShape(t, "DeviceWishes", reflect.TypeFor[ring.DeviceWishes](), reflect.TypeFor[v1.DeviceWishes]())
	if names := [...]table.Text{v1.MetaFormat, v1.MetaVAPID, v1.MetaSetup, v1.MetaPublicURL, v1.MetaSequence}; names !=
		[...]table.Text{metaFormat, metaVAPID, metaSetup, metaPublicURL, metaSequence} {
		t.Errorf("the rows of metas are frozen as %q", names)
	}

	s := newStore(t)
	f := furnish(t, s)
	if err := errors.Join(f.wordless(), f.silent(), f.over(), f.troubled()); err != nil {
		t.Fatal(err)
	}
	half := notificationKey{id(f.own.ID), 1}
	err := s.db.Update(func(tx *table.Tx) error {
		return notifications.Put(tx, half, notificationRow{ID: "half", Kind: idlepush.KindMail, Unqueued: []string{f.phone.ID}})
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyOf := rewrite(t, s, dir)
	for _, of := range indexes {
		name, want := readIndex(t, s.db, of)
		if _, got := readIndex(t, copyOf, of); len(want) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("index %s leads as it is frozen to %q, want %q", name, got, want)
		}
	}
	// Only a store that is open for the first time since may have it.
	for _, db := range []*table.DB{s.db, copyOf} {
		if err := db.Update(func(tx *table.Tx) error { return notifications.Delete(tx, half) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyOf.Close(); err != nil {
		t.Fatal(err)
	}
	differ(t, "rewritten through the frozen tables", holds(t, dir), content(t, s))
}

// rewrite makes a store in dir of what s holds, through the frozen tables.
func rewrite(t *testing.T, s *Store, dir string) *table.DB {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	putFile(t, filepath.Join(dir, keyFile), text)
	key, err := ParseKey(string(text))
	if err != nil {
		t.Fatal(err)
	}
	db, err := table.Create(filepath.Join(dir, storeFile), table.Options{Key: key, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.View(func(tx *table.Tx) error {
		for _, one := range frozenTables {
			one(t, tx, db)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func readIndex(t *testing.T, db *table.DB, of index) (name string, words []string) {
	t.Helper()
	err := db.View(func(tx *table.Tx) error {
		name, words = of(t, tx)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return name, words
}
