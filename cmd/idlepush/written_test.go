package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

// A stopped store is edited so that the account is at another server, which a mail server could
// have a certificate for.
func TestWrittenFile(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Populate(t)
	s.Stop(t)
	db, err := bolt.Open(filepath.Join(s.Data, "idlepush.db"), 0o600, nil)
	systemtest.Must(t, err)
	var account string
	err = db.Update(func(tx *bolt.Tx) error {
		k, row := tx.Bucket([]byte("accounts")).Cursor().First()
		account = strings.TrimRight(string(k), "\x00")
		return tx.Bucket([]byte("accounts")).Put(k, bytes.Replace(row, []byte("localhost"), []byte("evil.test"), 1))
	})
	systemtest.Must(t, errors.Join(err, db.Close()))
	s.Start(t)

	ctx := testenv.Context(t)
	var a struct {
		Host   string
		Status struct{ State, Code string }
	}
	systemtest.Must(t, s.Client.Get(ctx, "/accounts/"+account, &a))
	if a.Host != "evil.test" || a.Status.State != "attention" || a.Status.Code != "mailbox_damaged" {
		t.Errorf("the account is %+v", a)
	}
	err = s.Client.Call(ctx, http.MethodPatch, "/accounts/"+account, object{"password": s.Mail.Password}, nil)
	if err == nil || !strings.Contains(err.Error(), "409") || !strings.Contains(err.Error(), `"account_damaged"`) {
		t.Errorf("a password is entered for it: %v", err)
	}
	var advice struct {
		Items []struct {
			Code, Reason string
			Params       map[string]string
		}
	}
	systemtest.Must(t, s.Client.Get(ctx, "/advice", &advice))
	if len(advice.Items) != 1 || advice.Items[0].Code != "row_damaged" || advice.Items[0].Params["id"] != account ||
		!strings.Contains(s.Log.String(), advice.Items[0].Reason) {
		t.Errorf("admins are told %+v", advice)
	}
	systemtest.Must(t, s.Client.Call(ctx, http.MethodDelete, "/accounts/"+account, nil, nil))
	systemtest.Must(t, s.Client.Post(ctx, "/accounts", s.Account(), nil))
	s.WaitWatched(t, 1)
	s.Stop(t)
	if strings.Contains(s.Log.String(), "remote=evil.test") {
		t.Error("the daemon has connected to the other server")
	}
}

func TestOpenKeyFile(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Stop(t)
	systemtest.Must(t, os.Chmod(filepath.Join(s.Data, "key"), 0o644))
	out, err := s.Command(t).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "others on this machine can read or write key") || !strings.Contains(string(out), "chmod go= ") {
		t.Errorf("it starts with a key file for all: %v, %s", err, out)
	}
	systemtest.Must(t, os.Chmod(filepath.Join(s.Data, "key"), 0o600))
	s.Start(t)
	s.Stop(t)
}
