package wire

import (
	"strings"
	"time"
)

// Notify asks the server to report new mail and changed flags in these folders whichever is open
// (NOTIFY, RFC 5465), also in IDLE: News.Status and News.OtherFlags then count its reports of those
// that are not. It may report others of the user's too. It replaces an earlier Notify and forgets
// the news of other folders, so look at them after it. Ask only a server that announces NOTIFY; NO
// and BAD are an *imap.Error, after which the connection still works.
func (c *Conn) Notify(folders []string, timeout time.Duration) error {
	// FlagChange needs the other two (section 5). Without FlagChange a server reports less of the
	// open folder than plain IDLE does. Dovecot 2.3 reports new mail as fast with it as without.
	const events = "(MessageNew MessageExpunge FlagChange)"
	err := c.Do("NOTIFY SET (selected "+events+") ("+notifyFolders(folders)+" "+events+")", timeout)
	if err == nil {
		c.ForgetOthers(true)
	}
	return err
}

// notifyFolders returns the folders as NOTIFY names them, or all of the user's if a name is not
// plain: Dovecot 2.3 takes one in modified UTF-7 and never reports it.
func notifyFolders(folders []string) string {
	for _, f := range folders {
		if strings.ContainsFunc(f, func(r rune) bool { return r < ' ' || r > '~' || r == '&' || r == '"' || r == '\\' }) {
			return "personal"
		}
	}
	return `mailboxes ("` + strings.Join(folders, `" "`) + `")`
}
