package migrate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"idlepush/registry/migrate/v1"
	"idlepush/registry/table"
)

// account2 is a row of the made-up version 2, in which the address of an account is called Address
// and has an index.
type account2 struct {
	Owner    string
	Address  string
	Password table.Sealed
}

var (
	accounts2  = table.New[v1.ID, account2]("accounts")
	addresses2 = table.NewIndex(accounts2, "accounts/address", func(_ v1.ID, row account2) []table.Text {
		return []table.Text{table.Text(row.Address)}
	})
)

// to2 upgrades to version 2, two accounts in each transaction.
func to2(db *table.DB) error {
	for done, last := false, v1.ID(""); !done; {
		err := db.Update(func(tx *table.Tx) error {
			rows, err := v1.Accounts.First(tx, table.Range{}.Past(last), 2)
			done = len(rows) == 0
			for _, row := range rows {
				last = row.Key
				to := account2{row.Value.Owner, row.Value.Email, row.Value.Password}
				err = errors.Join(err, v1.Accounts.Delete(tx, row.Key), accounts2.Put(tx, row.Key, to))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func finish(tx *table.Tx) error {
	row, _, err := v1.Metas.Get(tx, v1.MetaFormat)
	row.Number++
	return errors.Join(err, v1.Metas.Put(tx, v1.MetaFormat, row))
}

var names = []string{"a", "b", "c", "d", "e"}

func options() table.Options { return table.Options{Key: make([]byte, table.KeySize), NoSync: true} }

// newStore makes a store of version 1 and closes it.
func newStore(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store")
	db, err := table.Create(path, options())
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *table.Tx) error {
		err := v1.Metas.Put(tx, v1.MetaFormat, v1.Meta{Number: v1.Format})
		for _, name := range names {
			sealed, sealErr := v1.Accounts.Place(tx, v1.ID(name)).Seal("password of " + name)
			row := v1.Account{Owner: "ann", Email: name + "@example.org", Password: sealed}
			err = errors.Join(err, sealErr, v1.Accounts.Put(tx, v1.ID(name), row))
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// upgrade upgrades the store as registry does.
func upgrade(path string, o table.Options, finish func(*table.Tx) error, steps ...Step) error {
	db, err := table.Open(path, options())
	if err != nil {
		return err
	}
	return errors.Join(Upgrade(path, o, 1, steps, finish), db.Close())
}

// read opens the store and calls fn in a View.
func read(t *testing.T, path string, fn func(tx *table.Tx) error) {
	t.Helper()
	db, err := table.Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.View(fn), db.Close()); err != nil {
		t.Error(err)
	}
}

// checkOld checks that the store has version 1 and all its rows.
func checkOld(t *testing.T, path string) {
	t.Helper()
	read(t, path, func(tx *table.Tx) error {
		meta, _, err := v1.Metas.Get(tx, v1.MetaFormat)
		if err != nil || meta.Number != 1 {
			t.Errorf("it has format %d, %v", meta.Number, err)
		}
		rows, err := v1.Accounts.First(tx, table.Range{}, table.NoLimit)
		if len(rows) != len(names) {
			t.Errorf("%d accounts", len(rows))
		}
		for _, row := range rows {
			var password string
			err = errors.Join(err, v1.Accounts.Place(tx, row.Key).Open(row.Value.Password, &password))
			if name := string(row.Key); row.Value.Email != name+"@example.org" || password != "password of "+name {
				t.Errorf("account %s is %+v", name, row.Value)
			}
		}
		return err
	})
}

// checkNew checks that the store has version 2 and all its rows.
func checkNew(t *testing.T, path string) {
	t.Helper()
	read(t, path, func(tx *table.Tx) error {
		meta, _, err := v1.Metas.Get(tx, v1.MetaFormat)
		if err != nil || meta.Number != 2 {
			t.Errorf("it has format %d, %v", meta.Number, err)
		}
		list, err := accounts2.Keys(tx, table.Range{}, table.NoLimit)
		if len(list) != len(names) {
			t.Errorf("%d accounts", len(list))
		}
		for _, name := range names {
			row, _, rowErr := addresses2.Row(tx, table.Text(name+"@example.org"))
			var password string
			err = errors.Join(err, rowErr, accounts2.Place(tx, row.Key).Open(row.Value.Password, &password))
			if string(row.Key) != name || row.Value.Owner != "ann" || password != "password of "+name {
				t.Errorf("account %s is %+v", name, row)
			}
		}
		return err
	})
}

// files returns the names in the folder of path, without the marks of closed files.
func files(t *testing.T, path string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".closed") {
			list = append(list, e.Name())
		}
	}
	return list
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	t.Run("keeps the store from before the upgrade", upgradeKeepsStore)
	t.Run("applies the steps in order", upgradeAppliesSteps)
	t.Run("does not change the store if a step fails", upgradeStepFails)
	t.Run("does not change the store if any transaction fails", upgradeTransactionFails)
	t.Run("does not replace a store that it cannot keep", upgradeCannotKeep)
	t.Run("removes the leftovers of an earlier upgrade", upgradeLeftovers)
	t.Run("locks the store while it runs", upgradeLocksStore)
}

func upgradeKeepsStore(t *testing.T) {
	t.Parallel()
	path := newStore(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := upgrade(path, options(), finish, to2); err != nil {
			t.Fatal(err)
		}
		checkNew(t, path)
		if got := files(t, path); !slices.Equal(got, []string{"store", "store.v1"}) {
			t.Errorf("there are %q", got)
		}
		kept := Kept(path, 1)
		if after, err := os.ReadFile(kept); err != nil || string(after) != string(before) {
			t.Errorf("the kept store differs from the one before, %v", err)
		}
		if info, err := os.Stat(kept); err != nil || info.Mode() != 0o600 {
			t.Errorf("it has mode %v, %v", info.Mode(), err)
		}
		checkOld(t, kept)
		// The next round moves it back and upgrades it again.
		if err := os.Rename(kept, path); err != nil {
			t.Fatal(err)
		}
		checkOld(t, path)
	}
}

func upgradeAppliesSteps(t *testing.T) {
	t.Parallel()
	path := newStore(t)
	var ran []string
	say := func(text string) Step {
		return func(*table.DB) error { ran = append(ran, text); return nil }
	}
	last := func(tx *table.Tx) error { ran = append(ran, "finish"); return finish(tx) }
	if err := upgrade(path, options(), last, say("2"), to2, say("4")); err != nil {
		t.Error(err)
	}
	if !slices.Equal(ran, []string{"2", "4", "finish"}) {
		t.Errorf("ran %q", ran)
	}
	checkNew(t, path)
}

// checkUntouched checks that a failed upgrade has not changed the store, and upgrades it.
func checkUntouched(t *testing.T, path string, before []string) {
	t.Helper()
	if after := files(t, path); !slices.Equal(before, after) {
		t.Errorf("there were %q, now %q", before, after)
	}
	checkOld(t, path)
	if err := upgrade(path, options(), finish, to2); err != nil {
		t.Error(err)
		return
	}
	checkNew(t, path)
	checkOld(t, Kept(path, 1))
}

func upgradeStepFails(t *testing.T) {
	t.Parallel()
	refusal := errors.New("an unexpected row")
	fails := func(*table.DB) error { return refusal }
	failsLate := func(db *table.DB) error { return errors.Join(to2(db), refusal) }
	for name, c := range map[string]struct {
		finish func(*table.Tx) error
		steps  []Step
		says   string
	}{
		"first step":  {finish, []Step{fails, to2}, "upgrade the store to version 2"},
		"in the step": {finish, []Step{failsLate}, "upgrade the store to version 2"},
		"last step":   {finish, []Step{to2, fails}, "upgrade the store to version 3"},
		"finish":      {func(*table.Tx) error { return refusal }, []Step{to2}, ""},
	} {
		path := newStore(t)
		before := files(t, path)
		err := upgrade(path, options(), c.finish, c.steps...)
		if !errors.Is(err, refusal) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		checkUntouched(t, path, before)
	}
}

func upgradeTransactionFails(t *testing.T) {
	t.Parallel()
	fault := errors.New("the disk is full")
	for n := 1; ; n++ {
		path, count := newStore(t), 0
		o := options()
		o.Fault = func() error {
			if count++; count == n {
				return fault
			}
			return nil
		}
		before := files(t, path)
		err := upgrade(path, o, finish, to2)
		if err == nil {
			if n < 4 {
				t.Errorf("it took %d transactions", n-1)
			}
			checkNew(t, path)
			return
		}
		if !errors.Is(err, fault) {
			t.Errorf("transaction %d: %v", n, err)
		}
		checkUntouched(t, path, before)
	}
}

func upgradeCannotKeep(t *testing.T) {
	t.Parallel()
	path := newStore(t)
	if err := os.MkdirAll(filepath.Join(Kept(path, 1), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := files(t, path)
	if err := upgrade(path, options(), finish, to2); err == nil {
		t.Error("it succeeded")
	}
	if after := files(t, path); !slices.Equal(before, after) {
		t.Errorf("there were %q, now %q", before, after)
	}
	checkOld(t, path)
}

func upgradeLeftovers(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(path string) error{
		"a file":   func(path string) error { return os.WriteFile(workFolder(path), []byte("x"), 0o600) },
		"a folder": func(path string) error { return os.Mkdir(workFolder(path), 0o700) },
		"halves": func(path string) error {
			return errors.Join(os.Mkdir(workFolder(path), 0o700), os.WriteFile(workFolder(path)+"/store", []byte("half"), 0o600),
				os.WriteFile(workFolder(path)+"/kept", []byte("half"), 0o600))
		},
		"a copy": func(path string) error { return os.WriteFile(Kept(path, 1), []byte("of an earlier upgrade"), 0o600) },
	} {
		path := newStore(t)
		if err := leave(path); err != nil {
			t.Fatal(err)
		}
		if err := upgrade(path, options(), finish, to2); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkNew(t, path)
		checkOld(t, Kept(path, 1))
		if got := files(t, path); !slices.Equal(got, []string{"store", "store.v1"}) {
			t.Errorf("%s: there are %q", name, got)
		}
	}
}

// upgradeLocksStore opens the store during an upgrade, as even a program without upgrades may.
func upgradeLocksStore(t *testing.T) {
	t.Parallel()
	path := newStore(t)
	look := func(*table.DB) error {
		db, err := table.Open(path, options())
		if err == nil {
			err = errors.Join(errors.New("it opened"), db.Close())
		}
		if !errors.Is(err, table.ErrInUse) {
			return fmt.Errorf("another: %w", err)
		}
		return nil
	}
	if err := upgrade(path, options(), finish, look, to2); err != nil {
		t.Error(err)
	}
	checkNew(t, path)
}
