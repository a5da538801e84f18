package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idlepush"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

func TestDoctorOfMachine(t *testing.T) {
	t.Parallel()
	t.Run("the clock is compared", doctorClock)
	t.Run("DNS, IPv4 and IPv6 are tried", doctorNetwork)
	t.Run("the data folder is tried", doctorFolder)
	t.Run("a store on a read-only disk ends nothing else", doctorBrokenDisk)
}

func doctorClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.Handler
		want   idlepush.Verdict
		text   string
	}{
		"right":     {dated(0), "ok", "it is 0 s "},
		"a bit off": {dated(-time.Minute), "look", "it is 60 s ahead of that of "},
		"wrong":     {dated(time.Hour), "wrong", "it is 3599 s behind that of "},
		"no date":   {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil }), "look", "tells no time"},
	} {
		clock := server(t, c.answer)
		x := installation{outside: near(clock)}
		f := x.clock(t.Context())
		// The seconds may pass meanwhile.
		text := regexp.MustCompile(`is (59|60|61) s`).ReplaceAllString(regexp.MustCompile(`is (3598|3599|3600) s`).ReplaceAllString(f.list[0].Text, "is 3599 s"), "is 60 s")
		if len(f.list) != 1 || f.list[0].Verdict != c.want || !strings.Contains(text, c.text) {
			t.Errorf("%s: %+v", name, f.list)
		}
	}
	clock := server(t, dated(0))
	strange := near(clock)
	strange.client = new(http.Client)
	gone := near(clock)
	gone.clock = "https://127.0.0.1:" + fmt.Sprint(testenv.Port(t))
	for name, o := range map[string]outside{"is not trusted": strange, "does not answer": gone} {
		if f := (installation{outside: o}).clock(t.Context()); len(f.list) != 1 || f.list[0].Verdict != "look" || !strings.Contains(f.list[0].Text, name) {
			t.Errorf("%s: %+v", name, f.list)
		}
	}
}

func doctorNetwork(t *testing.T) {
	t.Parallel()
	clock := server(t, dated(0))
	for name, c := range map[string]struct {
		down []string
		want []idlepush.Verdict
	}{
		"all is well": {nil, []idlepush.Verdict{"ok", "ok"}},
		"no IPv6":     {[]string{"tcp6"}, []idlepush.Verdict{"ok", "ok"}},
		"no IPv4":     {[]string{"tcp4"}, []idlepush.Verdict{"look", "ok"}},
		"no network":  {[]string{"tcp4", "tcp6"}, []idlepush.Verdict{"wrong"}},
	} {
		x := installation{outside: near(clock)}
		dial := x.outside.dial
		x.outside.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if slices.Contains(c.down, network) {
				return nil, syscall.ENETUNREACH
			}
			return dial(ctx, network, address)
		}
		if f := x.families(t.Context()); !slices.Equal(verdicts(f.list), c.want) {
			t.Errorf("%s: %+v", name, f.list)
		}
	}
	x := installation{outside: near(clock)}
	x.outside.lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no DNS") }
	if f := x.dns(t.Context()); !slices.Equal(verdicts(f.list), []idlepush.Verdict{"wrong"}) {
		t.Errorf("without DNS: %+v", f.list)
	}
}

func doctorFolder(t *testing.T) {
	t.Parallel()
	in := func(dir string) []finding {
		return installation{settings: settings{data: dir}}.dataFolder(t.Context()).list
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for at, text := range map[string]string{filepath.Join(dir, "missing"): "does not exist", file: "is no folder"} {
		if list := in(at); len(list) != 1 || list[0].Verdict != "wrong" || !strings.Contains(list[0].Text, text) {
			t.Errorf("%s: %+v", at, list)
		}
	}
	small := disk(t, "64k")
	if list := in(small); !slices.Equal(verdicts(list), []idlepush.Verdict{"ok", "wrong"}) || !strings.Contains(list[1].Text, "room for 0 MB more: make room") {
		t.Errorf("on a small disk: %+v", list)
	}
	if err := os.WriteFile(filepath.Join(small, "much"), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if list := in(small); !slices.Equal(verdicts(list), []idlepush.Verdict{"wrong", "wrong"}) || !strings.Contains(list[0].Text, "no space left") {
		t.Errorf("on a full disk: %+v", list)
	}
	noWrites(t, small)
	if list := in(small); list[0].Verdict != "wrong" || !strings.Contains(list[0].Text, "read-only file system") {
		t.Errorf("on a read-only disk: %+v", list)
	}
	left, err := os.ReadDir(small)
	if err != nil || len(left) != 1 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	x := running(t)
	if err := os.Chmod(filepath.Join(x.data, "key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if list := x.dataFolder(t.Context()).list; list[len(list)-1].Verdict != "wrong" || !strings.Contains(list[len(list)-1].Text, "others on this machine can read or write key") {
		t.Errorf("with an open key file: %+v", list)
	}
}

// disk mounts a disk of that size until the test ends.
func disk(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		testenv.Missing(t, "only root may mount a small disk: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// noWrites makes a disk read-only.
func noWrites(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// doctorBrokenDisk has the whole command look at a store whose disk cannot be written.
func doctorBrokenDisk(t *testing.T) {
	t.Parallel()
	from, _, _ := registrytest.DirWithUsers(t)
	dir := disk(t, "16m")
	for _, name := range []string{"idlepush.db", "key"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	noWrites(t, dir)
	code, report, _ := command("doctor", "--data", dir)
	if code != 1 {
		t.Errorf("it exits with %d", code)
	}
	hasLines(t, report, "wrong data nothing can be written in "+dir+" (", "wrong store the store cannot be opened", "ok fcm ", "look public URL")
	if !strings.Contains(report, "make the file system writable, or give a data folder elsewhere") {
		t.Errorf("it does not say what to do:\n%s", report)
	}
}
