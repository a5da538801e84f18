package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry"
)

const (
	// looksWait is how long pushes wait, at the first start after a restore, for mailboxes that
	// were not looked at yet.
	looksWait = time.Minute

	// looksPause is how long it takes to notice that all were.
	looksPause = 200 * time.Millisecond
)

// awaitLooks returns when pushes may be sent. Since a backup was made, what waits in its queues
// may have been sent, and its mail read. So in a restored store they wait until every mailbox was
// looked at, which gives up what was read; but not for long, because a mail server may be down.
func awaitLooks(ctx context.Context, store *registry.Store, confirmed func(account string) bool, log *slog.Logger) error {
	restored, err := store.Restored()
	if err != nil || !restored {
		return err
	}
	log.Info("the store was restored from a backup: pushes wait until every mailbox was looked at", "at most", looksWait)
	accounts, err := store.Accounts.List()
	if err != nil {
		return err
	}
	for end := time.Now().Add(looksWait); time.Now().Before(end); {
		accounts = slices.DeleteFunc(accounts, func(a idlepush.Account) bool { return !a.Enabled || a.Damaged() || confirmed(a.ID) })
		if len(accounts) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(looksPause):
		}
	}
	return store.ForgetRestored()
}
