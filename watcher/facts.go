package watcher

import (
	"slices"
	"strings"

	"idlepush/ring"
	"idlepush/watcher/message"
)

// facts returns the facts of a mail of this size in bytes, with its first words if they are wanted.
func (ft *fetcher) facts(d message.Description, size int64, words bool) ring.Facts {
	facts := d.Facts
	facts.Size = size
	if words {
		facts.Words = d.Preview
	}
	facts.Answer = d.Answers && slices.ContainsFunc(facts.To, func(to string) bool {
		return isAddressOf(to, ft.account.Email) || isAddressOf(to, ft.account.Username)
	})
	return facts
}

// isAddressOf reports whether to, in lower case, is a mailbox's own address, or one with a
// subaddress such as name+shop@example.org (RFC 5233).
func isAddressOf(to, own string) bool {
	own = strings.ToLower(own)
	if to == own {
		return true
	}
	name, domain, ok := strings.Cut(to, "@")
	name, _, _ = strings.Cut(name, "+")
	return ok && name+"@"+domain == own
}
