package main

import (
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry/registrytest"
)

func TestAwaitLooks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		restored bool
		after    time.Duration // when the mailbox is looked at
		want     time.Duration
	}{
		"a store that was not restored waits for nothing": {false, time.Hour, 0},
		"it waits until the mailbox was looked at":        {true, 4 * time.Second, 4 * time.Second},
		"it does not wait for a server that is down":      {true, time.Hour, looksWait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, anna, _ := registrytest.DirWithUsers(t)
				store := registrytest.Open(t, dir)
				defer store.Close()
				for _, enabled := range []bool{true, false} {
					mailbox := idlepush.Account{Owner: anna.ID, Email: "anna@example.org", Host: map[bool]string{true: "a.example.org", false: "b.example.org"}[enabled], Port: 993, Security: "tls", Username: "anna", Password: "planted", Folders: []string{"INBOX"}, Enabled: enabled}
					if _, _, err := store.Accounts.Add(mailbox, "", time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				if c.restored {
					if err := store.MarkRestored(time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				log, _ := registrytest.NewLog(t)
				began := time.Now()
				if err := awaitLooks(t.Context(), store, func(string) bool { return time.Since(began) >= c.after }, log); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != c.want {
					t.Errorf("it waits for %v", took)
				}
				if restored, err := store.Restored(); restored || err != nil {
					t.Errorf("the next start would wait again: %v", err)
				}
			})
		})
	}
}
