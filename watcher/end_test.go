package watcher

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
)

func TestFolderEnd(t *testing.T) {
	t.Parallel()
	t.Run("a session asks for the end until the server reports it", endAskedUntilKnown)
	t.Run("a connection that is lost is no answer", endConnectionLost)
	t.Run("a session asks otherwise if the server hangs up on STATUS of the open folder", endStatusHangsUp)
	t.Run("mail is notified though the server never reports the end unasked", endNeverUnasked)
	t.Run("a folder whose end is unknown holds up no mail of INBOX", endUnknown)
}

// endless is a script whose EXAMINE does not send UIDNEXT. answers has its answers to the STATUS,
// UID FETCH and UID SEARCH that ask for the end; TAG stands for the tag. For "" it sends the usual
// answer. It calls asked for each.
func endless(answers map[string]string, asked func(command string)) *imaptest.Script {
	script := &imaptest.Script{NoNext: true, Messages: []imaptest.Message{{UID: 3}, {UID: 5}, {UID: 7}}, On: map[string]func(*imaptest.Talk, string){}}
	for command, question := range map[string]string{"STATUS": "UIDNEXT", "UID FETCH": "* (UID)", "UID SEARCH": "UID *"} {
		script.On[command] = func(talk *imaptest.Talk, args string) {
			if !strings.Contains(args, question) {
				talk.Answer(command, args)
				return
			}
			asked(command)
			switch answer := answers[command]; answer {
			case "":
				talk.Answer(command, args)
			case "BYE":
				talk.Bye("enough")
			default:
				talk.Say("%s", strings.ReplaceAll(answer, "TAG", talk.Tag))
			}
		}
	}
	return script
}

func endAskedUntilKnown(t *testing.T) {
	t.Parallel()
	const no, bad, nothing = "TAG NO not here\r\n", "TAG BAD what\r\n", "TAG OK done\r\n"
	for name, c := range map[string]struct {
		status, fetch, search string
		asked                 int // of these three, from the first on
		end                   uint32
		said                  bool
	}{
		"by STATUS":                       {"", no, no, 1, 8, true},
		"STATUS NO":                       {no, "", no, 2, 8, false},
		"STATUS BAD":                      {bad, "", no, 2, 8, false},
		"STATUS unanswered":               {nothing, "", no, 2, 8, false},
		"STATUS without UIDNEXT":          {"* STATUS INBOX (MESSAGES 3)\r\n" + nothing, "", no, 2, 8, false},
		"STATUS that says 0":              {"* STATUS INBOX (UIDNEXT 0)\r\n" + nothing, "", no, 2, 8, false},
		"STATUS beneath the mails":        {"* STATUS INBOX (UIDNEXT 3)\r\n" + nothing, "", no, 2, 8, false},
		"STATUS that cannot be read":      {"* STATUS INBOX (UIDNEXT x)\r\n" + nothing, "", no, 2, 8, false},
		"FETCH NO":                        {no, no, "", 3, 8, false},
		"FETCH BAD":                       {no, bad, "", 3, 8, false},
		"FETCH unanswered":                {no, nothing, "", 3, 8, false},
		"FETCH without UID":               {no, "* 3 FETCH (FLAGS ())\r\n" + nothing, "", 3, 8, false},
		"FETCH beneath the mails":         {no, "* 3 FETCH (UID 2)\r\n" + nothing, "", 3, 8, false},
		"FETCH among others":              {no, "* 1 FETCH (FLAGS ())\r\n* 3 FETCH (UID 7)\r\n* 2 FETCH (UID 5 FLAGS ())\r\n" + nothing, no, 2, 8, false},
		"FETCH of the last UID there is":  {no, "* 3 FETCH (UID 4294967295)\r\n" + nothing, "", 3, 8, false},
		"SEARCH NO":                       {no, no, no, 3, 0, false},
		"SEARCH BAD":                      {no, no, bad, 3, 0, false},
		"SEARCH empty":                    {no, no, "* SEARCH\r\n" + nothing, 3, 0, false},
		"SEARCH unanswered":               {no, no, nothing, 3, 0, false},
		"SEARCH beneath the mails":        {no, no, "* SEARCH 2\r\n" + nothing, 3, 0, false},
		"SEARCH of the last UID there is": {no, no, "* SEARCH 4294967295\r\n" + nothing, 3, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				var asked []string
				script := endless(map[string]string{"STATUS": c.status, "UID FETCH": c.fetch, "UID SEARCH": c.search}, func(command string) { asked = append(asked, command) })
				s, end, err := h.scripted(t.Context(), t, script, new(failures))
				defer end()
				if err != nil {
					t.Fatal(err)
				}
				err = s.reader.open(s.folders.home())
				if c.end == 0 {
					if f := diagnose(&h.account, err); f.Code != "folder_end_unknown" || f.Field != "folders" {
						t.Errorf("it ends with %v: %+v", err, f)
					}
				} else if err != nil || s.folders[0].end != c.end || s.folders[0].uidNext != c.said {
					t.Errorf("the end is %d, said: %v, %v", s.folders[0].end, s.folders[0].uidNext, err)
				}
				if want := []string{"STATUS", "UID FETCH", "UID SEARCH"}[:c.asked]; !slices.Equal(asked, want) {
					t.Errorf("asked were %q, want %q", asked, want)
				}
				if cause := s.conn.Cause(); cause != nil {
					t.Errorf("the connection is over: %v", cause)
				}
			})
		})
	}
}

func endConnectionLost(t *testing.T) {
	t.Parallel()
	for i, command := range []string{"STATUS", "UID FETCH", "UID SEARCH"} {
		t.Run(command, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				answers := map[string]string{"STATUS": "TAG NO no\r\n", "UID FETCH": "TAG NO no\r\n", "UID SEARCH": "TAG NO no\r\n"}
				answers[command] = "BYE"
				asked := 0
				s, end, err := h.scripted(t.Context(), t, endless(answers, func(string) { asked++ }), new(failures))
				defer end()
				if err != nil {
					t.Fatal(err)
				}
				err = s.reader.open(s.folders.home())
				if f := diagnose(&h.account, err); f.Code != "server_closed" || asked != i+1 {
					t.Errorf("after %d questions it ends with %v: %+v", asked, err, f)
				}
			})
		})
	}
}

func endStatusHangsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		script := endless(map[string]string{"STATUS": "BYE"}, func(string) {})
		if n := h.sessions(t, script, 10, usualInterval/2); n == 10 {
			t.Errorf("%d sessions ended", n)
		}
	})
}

func endNeverUnasked(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]map[string]string{
		"as Courier":  {"UID SEARCH": "* SEARCH\r\nTAG OK done\r\n"},
		"FETCH alone": {"STATUS": "TAG NO no\r\n", "UID SEARCH": "TAG NO no\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				script := endless(answers, func(string) {})
				defer h.live(t, script)()
				for _, words := range []string{"one", "two"} {
					time.Sleep(2 * usualInterval)
					script.Deliver(imaptest.Message{Header: subject(words)})
				}
				synctest.Wait()
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"one", "two"}) {
					t.Errorf("notified %q", got)
				}
			})
		})
	}
}

func endUnknown(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"Work", "INBOX"} {
		t.Run(broken, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				account := scriptedAccount
				account.Folders = []string{"INBOX", "Work"}
				h := newHarness(t, account)
				open := ""
				script := endless(nil, func(string) {})
				for _, command := range []string{"STATUS", "UID FETCH", "UID SEARCH"} {
					usual := script.On[command]
					script.On[command] = func(talk *imaptest.Talk, args string) {
						if open == broken && (command != "STATUS" || strings.Contains(args, broken+" (UIDNEXT)")) {
							talk.Say("%s NO no\r\n", talk.Tag)
							return
						}
						usual(talk, args)
					}
				}
				script.On["EXAMINE"] = func(talk *imaptest.Talk, folder string) {
					open = strings.Trim(folder, `"`)
					talk.Answer("EXAMINE", folder)
				}
				defer h.live(t, script)()
				time.Sleep(time.Minute)
				script.Deliver(imaptest.Message{Header: "Subject: for %FOLDER%\r\n\r\n"})
				time.Sleep(3 * quickTour)
				got := subjects(h.mails(t))
				if want := []string{"for " + map[string]string{"Work": "INBOX", "INBOX": "Work"}[broken]}; !slices.Equal(got, want) {
					t.Errorf("notified %q", got)
				}
				a, err := h.store.Accounts.Get(h.account.ID)
				if err != nil || a.Status.State != idlepush.StateWatching {
					t.Error(errors.Join(err, errors.New(string(a.Status.Code))))
				}
			})
		})
	}
}
