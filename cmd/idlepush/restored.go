package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/registry"
	"idlepush/watcher"
)

const (
	// looksWait is how long pushes wait, at the first start after a restore, for mailboxes that
	// were not looked at yet.
	looksWait = time.Minute

	// looksPause is how long it takes to notice that all were.
	looksPause = 200 * time.Millisecond
)

// dispatch sends pushes until ctx ends, from when they may be sent.
func dispatch(ctx context.Context, store *registry.Store, d *push.Dispatcher, pool *watcher.Pool, log *slog.Logger) error {
	err := awaitLooks(ctx, store, func(account string) bool { return !pool.Live(account).Confirmed.IsZero() }, log)
	if err == nil {
		d.Run(ctx)
	}
	return err
}

// awaitLooks returns when pushes may be sent. Since a backup was made, the pushes in its queues may
// have been sent, and their mails read. So in a restored store they wait for a look at every
// mailbox, which ends those of read mails; but not for long, because a mail server may be down.
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
