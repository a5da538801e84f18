package main

import (
	"bytes"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

func TestSignalsThatEndTheDaemonCleanly(t *testing.T) {
	t.Parallel()
	// Under nohup the daemon would inherit that SIGHUP is ignored, and keep to it.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	s := startSystem(t)
	for i, sent := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if i > 0 {
			s.Start(t)
		}
		s.StopBy(t, sent)
		if n := strings.Count(s.Log.String(), "msg=stopped"); n != i+1 {
			t.Errorf("after %v it has stopped cleanly %d times", sent, n)
		}
	}
}

func TestProxiesOfTheEnvironmentAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env     map[string]string
		refused string
	}{
		"none":                     {nil, ""},
		"for https":                {map[string]string{"HTTPS_PROXY": "http://planted:3128"}, "HTTPS_PROXY"},
		"in small letters":         {map[string]string{"https_proxy": "http://planted:3128"}, "https_proxy"},
		"for http":                 {map[string]string{"HTTP_PROXY": "http://planted:3128"}, "HTTP_PROXY"},
		"with some exceptions":     {map[string]string{"HTTPS_PROXY": "http://planted:3128", "NO_PROXY": "localhost"}, "HTTPS_PROXY"},
		"with everything excepted": {map[string]string{"HTTPS_PROXY": "http://planted:3128", "NO_PROXY": "*"}, ""},
	} {
		err := checkNoProxy(func(name string) string { return c.env[name] })
		if (err != nil) != (c.refused != "") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), c.refused+" is set") || !strings.Contains(err.Error(), "unset "+c.refused) || strings.Contains(err.Error(), "planted")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var out bytes.Buffer
	getenv := func(name string) string { return map[string]string{"HTTPS_PROXY": "http://planted:3128"}[name] }
	if code := run([]string{"serve", "--data=" + t.TempDir()}, getenv, &out, &out); code != 2 || !strings.Contains(out.String(), "HTTPS_PROXY is set") {
		t.Errorf("it ends with %d: %s", code, out.String())
	}
}

// TestVersion: a program without a version, as the tests are, says why it has none.
func TestVersion(t *testing.T) {
	t.Parallel()
	var out, notes bytes.Buffer
	if code := run([]string{"version"}, func(string) string { return "" }, &out, &notes); code != 0 || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("it ends with %d and prints %q", code, out.String())
	}
	if knows := out.String() != development+"\n"; knows != (notes.Len() == 0) || !knows && !strings.Contains(notes.String(), "git checkout") {
		t.Errorf("of %q it says %q", out.String(), notes.String())
	}
}
