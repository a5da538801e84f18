package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"

	"idlepush/cmd/idlepush/api"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	t.Run("it shows mail and pushes", demoShowsPushes)
	t.Run("it returns the error of a part", demoReturnsError)
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
