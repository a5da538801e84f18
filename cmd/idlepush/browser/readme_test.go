package browser

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// top is the path of the repository.
const top = "../../../"

var writeScreens = flag.Bool("screens", false, "take the screenshots of the README again")

// TestREADMEScreens checks that the screenshots of the README exist and are small.
func TestREADMEScreens(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(top + "README.md")
	systemtest.Must(t, err)
	shown := regexp.MustCompile(`docs/screens/[a-z-]+\.png`).FindAllString(string(readme), -1)
	if *writeScreens {
		takeScreens(t, shown)
	}
	if len(shown) < 4 {
		t.Errorf("it shows %d screenshots", len(shown))
	}
	for _, path := range shown {
		if info, err := os.Stat(top + path); err != nil || info.Size() > 200<<10 {
			t.Errorf("%s: %v, or it has more than 200 KiB", path, err)
		}
	}
}

// takeScreens takes the wanted screenshots of a daemon with some mails, on a phone and on a
// desktop.
func takeScreens(t *testing.T, wanted []string) {
	s := startSystem(t)
	s.Populate(t)
	for i, mail := range [][2]string{{"Berta Baum", "Lunch tomorrow?"}, {"Primary School", "The class trip: what to pack"}, {"Grandma", "Photos from Sunday"}} {
		s.Mail.Deliver(t, s.Mail.User, "INBOX", fmt.Appendf(nil, "From: %s <sender%d@example.org>\r\nSubject: %s\r\nMessage-ID: <screen%d@example.org>\r\nDate: %s\r\n\r\nHello\r\n",
			mail[0], i, mail[1], i, time.Now().Format(time.RFC1123Z)))
	}
	_, err := s.Web.Wait(testenv.Context(t), 8)
	systemtest.Must(t, err)
	p := browsertest.Chromium(t).Open(t, s.Origin)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	p.WaitText(t, "anna@example.org")
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/users", object{"name": "ben", "password": "planted-login-of-ben"}, nil))
	views := make(map[string]string)
	for _, sc := range s.screens(t) {
		switch sc.name {
		case "mailboxes", "devices", "activity", "people", "device0":
			views[strings.TrimRight(sc.name, "0")+" "+sc.hash] = sc.text
		}
	}
	account := s.ids(t, "/accounts")[0]
	s.wishSomething(t, account)
	views["rules #/rules/"+account] = "Otherwise, let it ring."
	views["quiet #/device/"+s.ids(t, "/devices")[1]] = "Change them"
	for view, text := range views {
		name, hash, _ := strings.Cut(view, " ")
		p.Navigate(t, s.Origin+"/"+hash)
		p.WaitText(t, text)
		if name == "quiet" {
			p.Click(t, text)
			p.Eval(t, nil, `() => document.getElementById("quiet").scrollIntoView()`)
		}
		for size, at := range map[string][2]int{"phone": {390, 780}, "desk": {1000, 640}} {
			if path := "docs/screens/" + name + "-" + size + ".png"; slices.Contains(wanted, path) {
				p.SetViewport(t, at[0], at[1])
				p.Screenshot(t, top+path, false)
			}
		}
	}
}

// wishSomething stores quiet hours of a device, and rules of the mailbox.
func (s *system) wishSomething(t *testing.T, account string) {
	ctx := testenv.Context(t)
	quiet := object{"zone": "Europe/Berlin", "mode": "hold", "people": true, "attention": true, "hours": []object{
		hours("22:00", "07:00", "mon", "tue", "wed", "thu", "sun"), hours("23:30", "09:00", "fri", "sat"), hours("12:30", "14:00", "sat", "sun")}}
	systemtest.Must(t, s.Client.Call(ctx, "PUT", "/devices/"+s.ids(t, "/devices")[1]+"/wishes", object{"revision": 0, "quiet": quiet}, nil))
	systemtest.Must(t, s.Client.Call(ctx, "PUT", "/accounts/"+account+"/wishes", object{"revision": 0, "people": []string{"@school.example"}, "otherwise": object{"ring": "ring"}, "rules": []object{
		{"if": object{"from": []string{"@school.example"}, "subject": []string{"trip"}}, "then": object{"ring": "loud"}},
		{"if": object{"bulk": true, "answer": false}, "then": object{"ring": "not"}},
		{"if": object{"first": true}, "then": object{"ring": "silent", "content": "sender"}}}}, nil))
}
