package wire

import (
	"bytes"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// serverState is what the server has announced: its capabilities, whether it takes us for logged
// in, and what it sent unsolicited. Its methods may be called from any goroutine.
type serverState struct {
	mu       sync.Mutex
	caps     string // the last capability list, space separated; empty: unknown
	stale    bool   // a login was sent, and no capability list came since
	preauth  bool
	loggedIn bool   // by PREAUTH or by a command
	fetching bool   // a FETCH runs: its answers are no news
	messages uint32 // in the selected folder, as announced
	recent   uint32 // of the last RECENT
	news     News
	alert    string
}

// News counts the unsolicited responses since Forget.
type News struct {
	Exists  int // EXISTS, including that of an EXAMINE
	Recent  int // RECENT of more messages than before, which some servers send without EXISTS
	Expunge int // EXPUNGE or VANISHED
	Flags   int // FETCH that answers no command: flags changed
	// Status counts STATUS that answers no command: another folder changed (NOTIFY, RFC 5465). It
	// is a hint to look, not data.
	Status int
	// OtherFlags counts STATUS of that kind that says only how many are unread: flags changed in
	// another folder.
	OtherFlags int
	// Overflow is NOTIFICATIONOVERFLOW (RFC 5465 section 5.8): NOTIFY is off. Send it again and
	// look at all folders.
	Overflow bool
	Ended    bool // the server ended IDLE by itself
	// Unasked reports whether an EXISTS or RECENT came while the server had nothing to answer: in
	// the midst of an IDLE.
	Unasked bool
}

// Mail reports whether there may be new mail.
func (n News) Mail() bool { return n.Exists > 0 || n.Recent > 0 || n.Status > 0 || n.Overflow }

// Others reports whether another folder has changed.
func (n News) Others() bool { return n.Status > 0 || n.OtherFlags > 0 || n.Overflow }

// Changes counts the changes of messages that were there before.
func (n News) Changes() int { return n.Flags + n.Expunge + n.OtherFlags }

// Messages returns how many messages the selected folder has, as far as the server has announced.
func (s *serverState) Messages() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages
}

// News returns the news since Forget.
func (s *serverState) News() News {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news
}

// Forget resets the news of the selected folder. Call it before the command that looks for mail is
// sent, so that later responses are news again.
func (s *serverState) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news = News{Status: s.news.Status, OtherFlags: s.news.OtherFlags, Overflow: s.news.Overflow}
}

// ForgetOthers resets the news of the other folders. Call it before the commands that look at them.
// An overflow is reset by Notify, or with overflow, by a caller that does not use NOTIFY.
func (s *serverState) ForgetOthers(overflow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news.Status, s.news.OtherFlags, s.news.Overflow = 0, 0, s.news.Overflow && !overflow
}

// Alert returns the text of the last [ALERT] (RFC 3501 section 7.1), which a person should see, fit
// to be shown; or "".
func (s *serverState) Alert() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alert
}

// Preauth reports whether the server greeted with PREAUTH: no login is needed.
func (s *serverState) Preauth() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.preauth
}

// Caps returns the last capability list that the server sent. STARTTLS and a login change it.
func (s *serverState) Caps() imap.CapSet {
	set := make(imap.CapSet)
	for name := range strings.FieldsSeq(s.capList()) {
		set[imap.Cap(name)] = struct{}{}
	}
	return set
}

// Has reports whether the server announces a capability, or IMAP4rev2, which contains it.
func (s *serverState) Has(name imap.Cap) bool { return s.Caps().Has(name) }

func (s *serverState) capList() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.caps
}

func (s *serverState) setCaps(list string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caps, s.stale = capabilities(list), false
}

// greeted notes the greeting.
func (s *serverState) greeted(preauth bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.preauth, s.loggedIn = preauth, preauth
}

// loginSent notes that the capabilities may change.
func (s *serverState) loginSent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = true
}

// loginDone notes that the server took the login.
func (s *serverState) loginDone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loggedIn = true
}

// isLoggedIn reports whether the server takes us for logged in.
func (s *serverState) isLoggedIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loggedIn
}

// dropStaleCaps forgets a capability list from before the login, and reports whether it did.
func (s *serverState) dropStaleCaps() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	stale := s.stale && s.loggedIn
	if s.stale = false; stale {
		s.caps = ""
	}
	return stale
}

// reset forgets everything from before STARTTLS.
func (s *serverState) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caps, s.news, s.alert = "", News{}, ""
}

func (s *serverState) setFetching(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetching = on
}

// noteFlags counts FETCH responses that answered no command.
func (s *serverState) noteFlags(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news.Flags += n
}

// noteRecent counts a RECENT that came in the midst of an IDLE.
func (s *serverState) noteRecent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news.Recent++
}

// noteUnasked notes whether news came while an IDLE waited. before is the news from before it.
func (s *serverState) noteUnasked(before News) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news.Unasked = s.news.Unasked || s.news.Exists > before.Exists || s.news.Recent > before.Recent
}

// noteIdleEnded notes that the server ended IDLE by itself.
func (s *serverState) noteIdleEnded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news.Ended = true
}

// note takes in a response, whichever command runs. solicited means that it answers a STATUS.
func (s *serverState) note(r *response, solicited bool) {
	switch {
	case isStatus(r.kind):
		s.noteStatus(r)
		return
	case r.tag != "*":
		return
	case r.kind == "CAPABILITY":
		s.setCaps(r.text)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.kind {
	case "EXISTS":
		s.news.Exists++
		s.messages = r.number
	case "RECENT":
		if r.number > s.recent {
			s.news.Recent++
		}
		s.recent = r.number
	case "EXPUNGE":
		s.news.Expunge++
		s.messages = max(s.messages, 1) - 1
	case "VANISHED":
		s.news.Expunge++
	case "FETCH":
		if !s.fetching {
			s.news.Flags++
		}
	case "STATUS":
		switch {
		case solicited:
		case bytes.Contains(r.raw, []byte("UIDNEXT")), bytes.Contains(r.raw, []byte("MESSAGES")):
			s.news.Status++
		default:
			s.news.OtherFlags++
		}
	}
}

func (s *serverState) noteStatus(r *response) {
	if r.codeName() == "CAPABILITY" {
		s.setCaps(strings.TrimPrefix(r.code, "CAPABILITY"))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.codeName() {
	case "ALERT", "WEBALERT": // the second is Gmail's
		s.alert = Clean(r.text)
	case "NOTIFICATIONOVERFLOW":
		s.news.Overflow = true
	}
}
