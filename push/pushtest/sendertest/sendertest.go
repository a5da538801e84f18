// Package sendertest holds what the tests of the senders share: a stand-in on a network in memory, a
// message, the checks of an outcome, and what must hold whatever breaks. It is a package of its own
// because pushtest, which the demo uses, must not import testing.
package sendertest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

// The words of Message.
const (
	Title = "Aunt Frieda"
	Body  = "The recipe for the plum cake"
)

// Message is a mail that expires in an hour.
func Message() push.Message {
	return push.Message{
		ID: "0123456789abcdefghijklmnopqrstuv", Kind: registry.MailKind, Thread: "account1", Expires: time.Now().Add(time.Hour),
		Title: Title, Body: Body, Neutral: "New mail",
		Payload: []byte(`{"v":1,"kind":"mail","id":"0123456789abcdefghijklmnopqrstuv","title":"` + Title + `","body":"` + Body + `"}`),
	}
}

// Service is a stand-in of pushtest.
type Service interface {
	http.Handler
	Forgive() []string
}

// Serve serves s until the test ends, which fails if a request was not as the real service wants
// it. Before that, idle closes the sender's connections that have nothing to do: of a synctest
// bubble nothing may be left.
func Serve(t testing.TB, s Service, ln net.Listener, idle func()) {
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
		idle()
		serving.Wait()
		Unviolated(t, s)
	})
}

// Unviolated fails a test whose requests the real service would not have taken. One that provokes
// that forgives it.
func Unviolated(t testing.TB, s Service) {
	t.Helper()
	for _, v := range s.Forgive() {
		t.Errorf("the service would not have taken it: %s", v)
	}
}

// Provoked forgives the violations that the test provokes: at least one, and each says what.
func Provoked(t testing.TB, s Service, what string) {
	t.Helper()
	all := s.Forgive()
	if len(all) == 0 {
		t.Errorf("nothing was refused, want %q", what)
	}
	for _, v := range all {
		if !strings.Contains(v, what) {
			t.Errorf("the service would not have taken it: %s", v)
		}
	}
}

// Expect checks an outcome: it must equal want, have a reason unless it was delivered, and tell no
// secret.
func Expect(t testing.TB, got, want registry.Outcome, secrets ...string) {
	t.Helper()
	if got.Result != want.Result || got.Suspect != want.Suspect || got.Code != want.Code || !got.At.Equal(want.At) {
		t.Errorf("outcome %s suspect=%v %q at %v, want %s suspect=%v %q at %v",
			got.Result, got.Suspect, got.Code, got.At, want.Result, want.Suspect, want.Code, want.At)
	}
	if (got.Result == registry.ResultDelivered) != (got.Reason == "") || (got.Code == "") != (got.Reason == "") {
		t.Errorf("outcome %s has code %q and reason %q", got.Result, got.Code, got.Reason)
	}
	for _, secret := range append(secrets, Title, Body, "bearer", "ya29.", "scripted", ".test", "PRIVATE") {
		if strings.Contains(got.Reason+got.Code, secret) {
			t.Errorf("the outcome tells %q: %s", secret, got.Reason)
		}
	}
}

// FailOnce returns a fault for one request.
func FailOnce(code int, reason string) pushtest.Fault {
	return pushtest.Fault{Status: code, Reason: reason, Times: 1}
}

// WithHeader returns f with a header.
func WithHeader(f pushtest.Fault, key, value string) pushtest.Fault {
	f.Header = http.Header{key: {value}}
	return f
}

// EveryRow tests each row of a sender's table, named by rows, with each of its samples: there must
// be at least one, and none without a row.
func EveryRow[S any](t *testing.T, rows []string, samples map[string][]S, test func(t *testing.T, row int, sample S)) {
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

// Decided checks the outcome of one request that the service answers with answer. Then it changes
// *code, the code of the table row that should decide, and sends again: the outcome must have the new
// code.
func Decided[M any](t *testing.T, record *pushtest.Record[M], sender push.Sender, d registry.Device, answer pushtest.Fault, want registry.Outcome, code *string) {
	t.Helper()
	record.Fail(string(d.Address), answer)
	Expect(t, sender.Send(t.Context(), d, Message()), want, string(d.Address))
	if n := record.Requests(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	record.Heal()
	record.Fail(string(d.Address), answer)
	was := *code
	*code = "marked"
	defer func() { *code = was }()
	if o := sender.Send(t.Context(), d, Message()); o.Code != "marked" {
		t.Errorf("another row decides it: %+v", o)
	}
}

// Break is a way in which an exchange can fail, and the outcome it must have.
type Break struct {
	Fault   pushtest.Fault
	Result  registry.Result
	Code    string
	Unknown bool
	Reached int // times that the phone has the message before it is sent again
}

// KeptAndSentAgain checks the outcome of each break, and that a second send delivers the message.
// service makes a stand-in in a synctest bubble, its sender and a device.
func KeptAndSentAgain[M any](t *testing.T, breaks map[string]Break, service func(*testing.T) (*pushtest.Record[M], push.Sender, registry.Device)) {
	for name, b := range breaks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				record, sender, d := service(t)
				b.Fault.Times = 1
				record.Fail(string(d.Address), b.Fault)
				o := sender.Send(t.Context(), d, Message())
				Expect(t, o, registry.Outcome{Result: b.Result, Code: b.Code}, string(d.Address), "<h1>")
				if o.Unknown != b.Unknown || record.Requests() != 1 || len(record.Messages()) != b.Reached {
					t.Errorf("unknown %v after %d requests, and %d messages came, want %v, 1, %d",
						o.Unknown, record.Requests(), len(record.Messages()), b.Unknown, b.Reached)
				}
				Expect(t, sender.Send(t.Context(), d, Message()), registry.Outcome{Result: registry.ResultDelivered})
			})
		})
	}
}
