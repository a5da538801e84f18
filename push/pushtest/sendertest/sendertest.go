// Package sendertest holds what the tests of all transports share: a stand-in on a network in
// memory, a message, checks of an outcome, an [OutageTest] and a [HouseholdTest]. It is a package
// of its own because pushtest, which the demo uses, must not import testing.
package sendertest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

// The words of Message.
const (
	Title = "Aunt Frieda"
	Body  = "The recipe for the plum cake"
)

// Message returns a mail that expires in an hour.
func Message() push.Message {
	return push.Message{
		ID: "0123456789abcdefghijklmnopqrstuv", Kind: idlepush.KindMail, Thread: "account1", Expires: time.Now().Add(time.Hour),
		Title: Title, Body: Body, Neutral: "New mail",
		Payload: []byte(`{"v":1,"kind":"mail","id":"0123456789abcdefghijklmnopqrstuv","title":"` + Title + `","body":"` + Body + `"}`),
	}
}

// Service is a stand-in of pushtest.
type Service interface {
	http.Handler
	TakeViolations() []string
}

// Serve serves s until the test ends. The test fails if the real service would have refused a
// request. At the end Serve calls closeIdle, which must close the idle connections of the
// transport: nothing may be left of a synctest bubble.
func Serve(t testing.TB, s Service, ln net.Listener, closeIdle func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := pushtest.Serve(ctx, ln, s); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		closeIdle()
		serving.Wait()
		NoViolations(t, s)
	})
}

// NoViolations fails the test if the real service would have refused a request. A test that
// provokes refusals calls Provoked first.
func NoViolations(t testing.TB, s Service) {
	t.Helper()
	for _, v := range s.TakeViolations() {
		t.Errorf("the real service would refuse it: %s", v)
	}
}

// Provoked takes the violations that the test has provoked. There must be at least one, and each
// must contain the text.
func Provoked(t testing.TB, s Service, text string) {
	t.Helper()
	all := s.TakeViolations()
	if len(all) == 0 {
		t.Errorf("nothing was refused, want %q", text)
	}
	for _, v := range all {
		if !strings.Contains(v, text) {
			t.Errorf("the real service would refuse it: %s", v)
		}
	}
}

// Expect checks an outcome: it must equal want, have a reason unless it was delivered, and contain
// no secret.
func Expect(t testing.TB, got, want registry.Outcome, secrets ...string) {
	t.Helper()
	if got.Result != want.Result || got.Suspect != want.Suspect || got.Code != want.Code || !got.At.Equal(want.At) {
		t.Errorf("outcome %s suspect=%v %q at %v, want %s suspect=%v %q at %v",
			got.Result, got.Suspect, got.Code, got.At, want.Result, want.Suspect, want.Code, want.At)
	}
	if (got.Result == registry.ResultDelivered) != got.Reason.Equal(idlepush.Reason{}) {
		t.Errorf("outcome %s has the reason %v", got.Result, got.Reason)
	}
	for _, secret := range append(secrets, Title, Body, "bearer", "ya29.", "scripted", ".test", "PRIVATE") {
		if strings.Contains(fmt.Sprint(got.Reason), secret) {
			t.Errorf("the outcome contains %q: %v", secret, got.Reason)
		}
	}
}

// ExpectOf returns Expect for a transport with these codes. It also checks that the reason has a
// sentence among them.
func ExpectOf(list []codes.Entry) func(t testing.TB, got, want registry.Outcome, secrets ...string) {
	table := codes.Join(list)
	return func(t testing.TB, got, want registry.Outcome, secrets ...string) {
		t.Helper()
		Expect(t, got, want, secrets...)
		if err := table.Check(got.Code, got.Params); got.Code != "" && err != nil {
			t.Error(err)
		}
	}
}

// FailOnce returns a fault for one request.
func FailOnce(status int, reason string) pushtest.Fault {
	return pushtest.Fault{Status: status, Reason: reason, Times: 1}
}

// WithHeader returns f with a header.
func WithHeader(f pushtest.Fault, key, value string) pushtest.Fault {
	f.Header = http.Header{key: {value}}
	return f
}

// Answer is an answer of a service, and the outcome that it must have.
type Answer struct {
	Fault   pushtest.Fault
	Result  registry.Result
	Suspect bool
	Code    codes.Code
	Wait    time.Duration // until the outcome's At; 0: it has no At
}

// Delivered returns an answer that accepts the message.
func Delivered(f pushtest.Fault) Answer { return Answer{Fault: f, Result: registry.ResultDelivered} }

// Retry returns an answer after which the same message is sent again, after wait if that is not 0.
func Retry(f pushtest.Fault, code codes.Code, wait time.Duration) Answer {
	return Answer{Fault: f, Result: registry.ResultRetry, Code: code, Wait: wait}
}

// Suspect returns an answer that makes the device suspect.
func Suspect(f pushtest.Fault, code codes.Code) Answer {
	return Answer{Fault: f, Result: registry.ResultRetry, Suspect: true, Code: code}
}

// Misconfigured returns an answer that blames the server's settings.
func Misconfigured(f pushtest.Fault, code codes.Code) Answer {
	return Answer{Fault: f, Result: registry.ResultMisconfigured, Code: code}
}

// Refused returns an answer that blames the message.
func Refused(f pushtest.Fault, code codes.Code) Answer {
	return Answer{Fault: f, Result: registry.ResultRefused, Code: code}
}

// Gone returns an answer after which the device is removed.
func Gone(f pushtest.Fault, code codes.Code) Answer {
	return Answer{Fault: f, Result: registry.ResultGone, Code: code}
}

// RowName returns the name of a row for EachRow: its statuses and its further conditions, of which
// some may be empty.
func RowName(from, to int, conditions ...string) string {
	name := fmt.Sprint(from)
	if to != from {
		name += fmt.Sprint("-", to)
	}
	for _, condition := range conditions {
		if condition != "" {
			name += " " + condition
		}
	}
	return name
}

// EachRow tests each row of a transport's table with each of its samples. rows are the names of the
// rows. There must be at least one sample for each row, and none without a row.
func EachRow[S any](t *testing.T, rows []string, samples map[string][]S, test func(t *testing.T, row int, sample S)) {
	for i, row := range rows {
		if len(samples[row]) == 0 {
			t.Errorf("the row %s is not tested", row)
		}
		for n, sample := range samples[row] {
			t.Run(fmt.Sprint(row, "/", n), func(t *testing.T) { test(t, i, sample) })
		}
	}
	for row := range samples {
		if !slices.Contains(rows, row) {
			t.Errorf("there is no row %s", row)
		}
	}
}

// CheckRow checks that the answer has its outcome after one request. Then it changes *code, the
// code of the table row that should decide, and sends again: the outcome must have the new code.
func CheckRow[M any](t *testing.T, record *pushtest.Record[M], sender push.Sender, d idlepush.Device, a Answer, code *codes.Code) {
	t.Helper()
	want := registry.Outcome{Result: a.Result, Suspect: a.Suspect, Reason: idlepush.Reason{Code: a.Code}}
	if a.Wait > 0 {
		want.At = time.Now().Add(a.Wait)
	}
	record.Fail(string(d.Address), a.Fault)
	Expect(t, sender.Send(t.Context(), d, Message()), want, string(d.Address))
	if n := record.Requests(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	record.ClearFaults()
	record.Fail(string(d.Address), a.Fault)
	was := *code
	*code = "marked"
	defer func() { *code = was }()
	if o := sender.Send(t.Context(), d, Message()); o.Code != "marked" {
		t.Errorf("another row decides: %+v", o)
	}
}

// Break is a way in which an exchange can fail, and the outcome it must have.
type Break struct {
	Fault    pushtest.Fault
	Result   registry.Result
	Code     codes.Code
	Unknown  bool
	Received int // number of times that the phone has the message before it is sent again
}

// Breaks returns the breaks that all services with a connection have, and more. prefix is that of
// the service's codes. An answer that is not whole counts as none, because its status may come from
// a proxy.
func Breaks(prefix string, more map[string]Break) map[string]Break {
	lost := Break{Result: registry.ResultRetry, Code: codes.Code(prefix + "_unreachable"), Unknown: true}
	late := Break{Result: registry.ResultRetry, Code: codes.Code(prefix + "_timeout"), Unknown: true}
	with := func(b Break, f pushtest.Fault, received int) Break {
		b.Fault, b.Received = f, received
		return b
	}
	all := map[string]Break{
		"no answer":               with(late, pushtest.Fault{Hang: true}, 0),
		"no answer, but accepted": with(late, pushtest.Fault{Hang: true, Accepted: true}, 1),
		"connection lost":         with(lost, pushtest.Fault{Drop: true}, 0),
		"answer lost":             with(lost, pushtest.Fault{Drop: true, Accepted: true}, 1),
		"half of a success":       with(lost, pushtest.Fault{Status: http.StatusOK, Half: true}, 1),
		"half of an outage":       with(lost, pushtest.Fault{Status: http.StatusServiceUnavailable, Body: pushtest.ErrorPage, Half: true}, 0),
	}
	maps.Copy(all, more)
	return all
}

// RunBreaks checks the outcome of each break, and that a second send delivers the message. service
// makes a stand-in in a synctest bubble, its sender and a device.
func RunBreaks[M any](t *testing.T, breaks map[string]Break, service func(*testing.T) (*pushtest.Record[M], push.Sender, idlepush.Device)) {
	for name, b := range breaks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				record, sender, d := service(t)
				b.Fault.Times = 1
				record.Fail(string(d.Address), b.Fault)
				o := sender.Send(t.Context(), d, Message())
				Expect(t, o, registry.Outcome{Result: b.Result, Reason: idlepush.Reason{Code: b.Code}}, string(d.Address), "<h1>")
				if o.MaybeDelivered != b.Unknown || record.Requests() != 1 || len(record.Messages()) != b.Received {
					t.Errorf("unknown %v after %d requests, and %d messages came, want %v, 1, %d",
						o.MaybeDelivered, record.Requests(), len(record.Messages()), b.Unknown, b.Received)
				}
				Expect(t, sender.Send(t.Context(), d, Message()), registry.Outcome{Result: registry.ResultDelivered})
			})
		})
	}
}
