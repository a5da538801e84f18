package watcher

import (
	"cmp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/imaptest"
)

func TestOddFolders(t *testing.T) {
	t.Run("mail in another folder is notified however a server answers STATUS", oddStatus)
	t.Run("a folder that cannot be read keeps no other from being listed", unreadableFolderListed)
	t.Run("folders are listed though the server does not take what it announces", specialUseRefused)
}

func oddStatus(t *testing.T) {
	tour := 150 * time.Second // "every two minutes", and what it takes
	testOddServers(t, map[string]oddServer{
		"does nothing odd":                        {folder: "Family", within: tour},
		"has all folders below INBOX":             {folder: "INBOX.Family", within: tour, odd: lists(`() "." "INBOX"`, `() "." "INBOX.Family"`)},
		"names folders in modified UTF-7":         {folder: "Verein/Büro & Kasse", within: tour, odd: lists(`() "/" INBOX`, `() "/" "Verein/B&APw-ro &- Kasse"`)},
		"announces CONDSTORE and has none":        {folder: "Family", within: tour, odd: all(announces("IMAP4rev1 IDLE CONDSTORE"), answersSome("STATUS", holding("HIGHESTMODSEQ"), "TAG BAD unknown STATUS item\r\n"))},
		"reports nothing of the folder":           {folder: "Family", within: tour, odd: edited("STATUS", `\(.*\)`, "()")},
		"does not quote a name with a space":      {folder: "Deleted Items", within: tour, odd: edited("STATUS", `"`, "")},
		"does not escape a backslash":             {folder: `INBOX\Family`, within: tour, odd: edited("STATUS", `\\\\`, `\`)},
		"has a space behind the items":            {folder: "Family", within: tour, odd: edited("STATUS", `\)\r\n`, ") \r\n")},
		"has a space before the last parenthesis": {folder: "Family", within: tour, odd: edited("STATUS", `\)\r\n`, " )\r\n")},
	})
}

func unreadableFolderListed(t *testing.T) {
	t.Parallel()
	inbox := Folder{Name: "INBOX"}
	for name, c := range map[string]struct {
		lines  []string // of LIST
		want   []Folder
		folder string // of the account; default INBOX
	}{
		"lists a folder twice":                              {lines: []string{`() "/" INBOX`, `() "/" INBOX`, `() "/" Family`, `() "/" Family`}, want: []Folder{{Name: "Family"}, inbox}},
		"leaves INBOX out":                                  {lines: []string{`() "/" Family`}, want: []Folder{{Name: "Family"}, inbox}},
		"does not escape a quote mark":                      {lines: []string{`() "/" INBOX`, `() "/" "5" disks"`, `() "/" Family`}, want: []Folder{{Name: "Family"}, inbox}},
		"lists the account's own so that it cannot be read": {lines: []string{`() "/" "5" disks"`}, want: []Folder{inbox}, folder: `5" disks`},
		"does not escape two quote marks":                   {lines: []string{`() "/" INBOX`, `() "/" "my "best" mails"`, `() "/" Family`}, want: []Folder{{Name: "Family"}, inbox}},
		"does not quote a name with tabs":                   {lines: []string{`() "/" INBOX`, "() \"/\" INBOX/Da\tOggetto\t", `() "/" Family`}, want: []Folder{{Name: "Family"}, inbox, {Name: "INBOX/Da\tOggetto\t"}}},
		"writes attributes in upper case":                   {lines: []string{`() "/" INBOX`, `(\NOSELECT) "/" Parent`}, want: []Folder{inbox}},
		"lists what is no folder, and what each is for": {lines: []string{`(\HasNoChildren) "/" "INBOX"`, `(\HasChildren \NonExistent) "/" "[Gmail]"`, `(\All \HasNoChildren) "/" "[Gmail]/All Mail"`,
			`(\HasNoChildren \Junk) "/" "[Gmail]/Spam"`, `(\HasNoChildren) "/" "!@#$%&-*()_+{}|:\"?><"`},
			want: []Folder{{Name: `!@#$%&*()_+{}|:"?><`}, inbox, {"[Gmail]/All Mail", "all"}, {"[Gmail]/Spam", "junk"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{}
				lists(c.lines...)(t, script)
				h, dialer, w := harnessAt(t, script, cmp.Or(c.folder, "INBOX"))
				able, err := dialer.Check(t.Context(), h.account)
				w.serving.Wait()
				if err != nil || !slices.Equal(able.Folders, c.want) {
					t.Errorf("%q, %v; want %q", able.Folders, err, c.want)
				}
			})
		})
	}
}

func specialUseRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Caps: "IMAP4rev1 IDLE SPECIAL-USE LIST-EXTENDED"}
		answersSome("LIST", holding("RETURN"), "TAG BAD unknown option\r\n")(t, script)
		h, dialer, w := harnessAt(t, script, "INBOX")
		able, err := dialer.Check(t.Context(), h.account)
		w.serving.Wait()
		if want := []Folder{{Name: "INBOX"}}; err != nil || !slices.Equal(able.Folders, want) {
			t.Errorf("%q, %v; want %q", able.Folders, err, want)
		}
	})
}
