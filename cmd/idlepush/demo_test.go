package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/cmd/idlepush/api"
	"idlepush/push/fcm"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	t.Run("it shows mail and pushes", demoShowsPushes)
	t.Run("it prints a push of each kind", demoPrintsKinds)
	t.Run("it returns the error of a part", demoReturnsError)
}

func demoPrintsKinds(t *testing.T) {
	t.Parallel()
	out := new(strings.Builder)
	d, err := newDemo(out)
	if err != nil {
		t.Fatal(err)
	}
	d.mailAt.Close()
	d.close()
	d.registered["token"] = idlepush.Device{Name: "Pixel", Transport: fcm.Name}
	now := time.Now()
	d.appended["Lunch?"] = now.Add(-7 * time.Millisecond)
	for payload, want := range map[string]string{
		`{"kind":"mail","title":"Berta: Lunch?","body":"Dumplings.\nAt noon?","subject":"Lunch?"}`: "  push +  7 ms  fcm          Pixel      Berta: Lunch?: Dumplings. / At noon?\n",
		`{"kind":"summary","title":"2 new mails in Home"}`:                                         "  push          fcm          Pixel      2 new mails in Home\n",
		`{"kind":"attention","title":"idlepush needs you","body":"Home"}`:                          "  push          fcm          Pixel      idlepush needs you: Home\n",
		`{"kind":"test","title":"idlepush","body":"It works."}`:                                    "  push          fcm          Pixel      idlepush: It works.\n",
		`{"kind":"clear","clear":["one","two"]}`:                                                   "  push          fcm          Pixel      takes away 2\n",
	} {
		out.Reset()
		d.received("token", []byte(payload), now)
		if got := out.String(); !strings.HasSuffix(got, want) {
			t.Errorf("of %s it prints %q, want %q", payload, got, want)
		}
	}
}

func demoShowsPushes(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out := new(registrytest.Log)
	var running sync.WaitGroup
	running.Go(func() {
		if err := demo(ctx, out); err != nil {
			t.Errorf("the demo ended with %v", err)
		}
	})
	defer running.Wait()
	defer stop()
	first := regexp.MustCompile(`mail from Berta Baum: Lunch\? \(1\)`)
	testenv.Await(t, "a mail is printed, and then a push to each of the four phones", func() error {
		_, after, there := strings.Cut(out.String(), first.FindString(out.String())+"\n")
		for _, push := range []string{`fcm          Pixel      Berta Baum: Lunch\? \(1\)`, `apns         iPhone     Berta Baum: Lunch\? \(1\)`,
			`webpush      Firefox    Berta Baum: Lunch\? \(1\) / The new place`, `unifiedpush  Fairphone  Berta Baum: New mail`} {
			if !there || !regexp.MustCompile(`  push \+ *\d+ ms  `+push).MatchString(after) {
				return fmt.Errorf("no %q in %q", push, out)
			}
		}
		return nil
	})
	token := regexp.MustCompile(`Bearer (\S+)' (\S+)/notifications`).FindStringSubmatch(out.String())
	c := &api.Client{Base: token[2], Token: token[1]}
	testenv.Await(t, "a mail is shown without a sound by a rule", func() error {
		var list struct {
			Items []struct {
				Deliveries []struct {
					Decision struct{ Verdict, Code string }
				}
			}
		}
		if err := c.Get(ctx, "/notifications", &list); err != nil {
			return err
		}
		for _, item := range list.Items {
			for _, to := range item.Deliveries {
				if to.Decision.Verdict == "silent" && to.Decision.Code == "rule" {
					return nil
				}
			}
		}
		return fmt.Errorf("there are only %+v", list.Items)
	})
	stop()
	running.Wait()
	if text := out.String(); !strings.Contains(text, "with one mailbox and four phones") || !strings.HasSuffix(text, "stopped; all data of the demo is deleted\n") {
		t.Errorf("it says %q", text)
	}
}

func demoReturnsError(t *testing.T) {
	t.Parallel()
	d, err := newDemo(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	d.listen = "127.0.0.1:0"
	d.mailAt.Close()
	if err := d.run(testenv.Context(t), t.TempDir()); err == nil {
		t.Error("the mail server cannot be served, and the demo ends as if all were well")
	}
}
