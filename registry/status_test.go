package registry

import (
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	t.Run("a reason whose parameters change is written, unless only the time is another", statusOfAccount)
}

// A session says the same at every look, and a look must not cost a commit.
func statusOfAccount(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
	reason := func(code codes.Code, params ...string) idlepush.Reason {
		r := idlepush.Reason{Code: code}
		for i := 0; i < len(params); i += 2 {
			r = r.With(params[i], params[i+1])
		}
		return r
	}
	var before idlepush.Status
	for i, step := range []struct {
		state    idlepush.State
		reason   idlepush.Reason
		written  bool
		newSince bool
	}{
		{idlepush.StateWatching, reason("folder_unavailable", "folder", "Family"), true, true},
		{idlepush.StateWatching, reason("folder_unavailable", "folder", "Family"), false, false},
		{idlepush.StateWatching, reason("folder_unavailable", "folder", "Work"), true, false},
		{idlepush.StateWatching, reason("folder_unavailable"), true, false},
		{idlepush.StateRetrying, reason("certificate_not_yet_valid", "from", "2026", codes.Now, "1970"), true, true},
		{idlepush.StateRetrying, reason("certificate_not_yet_valid", "from", "2026", codes.Now, "1971"), false, false},
		{idlepush.StateRetrying, reason("certificate_not_yet_valid", "from", "2027", codes.Now, "1971"), true, false},
		{idlepush.StateRetrying, reason("certificate_not_yet_valid", "from", "2027"), true, false},
		{idlepush.StateRetrying, reason("server_silent"), true, false},
		{idlepush.StateWatching, reason(""), true, true},
	} {
		now, count := dawn.Add(time.Duration(i)*time.Minute), commits(s)
		if err := s.Mail.SetState(a, idlepush.Status{State: step.state, Since: now, Reason: step.reason}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Accounts.Get(a.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := before
		if step.written {
			want.State, want.Reason = step.state, step.reason
		}
		if step.newSince {
			want.Since = now
		}
		if got.Status.State != want.State || !got.Status.Reason.Equal(want.Reason) || !got.Status.Since.Equal(want.Since) || commits(s)-count > 1 || step.written != (commits(s) > count) {
			t.Errorf("step %d took %d commits: %+v, want %+v", i, commits(s)-count, got.Status, want)
		}
		before = got.Status
	}
}
