package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

// TestSelftest runs the command as a process, in a folder that it must leave empty.
func TestSelftest(t *testing.T) {
	t.Parallel()
	t.Run("it keeps its promise in each hardship", selftestPasses)
	t.Run("it leaves nothing behind when it is interrupted", selftestInterrupted)
	t.Run("it leaves nothing behind when nobody reads what it prints", selftestUnread)
	t.Run("without a folder for temporary files it says what to do", selftestWithoutFolder)
	t.Run("it takes no settings", selftestUsage)
	t.Run("the docs have its hardships", selftestDocs)
}

// selftestCommand returns the command, which knows nothing but the folder for temporary files.
func selftestCommand(t *testing.T, tmp string, args ...string) *exec.Cmd {
	t.Helper()
	p := itself(t)
	c := exec.CommandContext(testenv.Context(t), p.Path, append([]string{"selftest"}, args...)...)
	c.Dir, c.Env = tmp, append([]string{"TMPDIR=" + tmp}, p.Env...)
	return c
}

// isEmpty fails the test if anything is in the folder.
func isEmpty(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) > 0 {
		t.Errorf("in the folder is %v, %v", list, err)
	}
}

func selftestPasses(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	out, err := selftestCommand(t, tmp).Output()
	if err != nil {
		exit, _ := errors.AsType[*exec.ExitError](err)
		t.Fatalf("%v\n%s\n%s", err, out, exit.Stderr)
	}
	var rows []string
	for _, m := range regexp.MustCompile(`(?m)^ok {6}(\S.*?)  +\S.*  (?:\d+ mails )?rang once on 4 phones, (?:the slowest )?after \d+\.\d s$`).FindAllStringSubmatch(string(out), -1) {
		rows = append(rows, m[1])
	}
	var want []string
	for _, h := range hardships {
		want = append(want, h.name)
	}
	if !slices.Equal(rows, want) || !strings.Contains(string(out), "\nidlepush kept its promise in all ") {
		t.Errorf("the rows are %q, want %q:\n%s", rows, want, out)
	}
	isEmpty(t, tmp)
}

func selftestInterrupted(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	c := selftestCommand(t, tmp)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	systemtest.Must(t, c.Start())
	testenv.Await(t, "it has made its folder", func() error {
		if list, err := os.ReadDir(tmp); err != nil || len(list) == 0 {
			return errors.Join(errors.New("not yet"), err)
		}
		return nil
	})
	systemtest.Must(t, c.Process.Signal(os.Interrupt))
	if err := c.Wait(); c.ProcessState.ExitCode() != 1 || strings.Contains(out.String(), "FAILED") || !strings.Contains(out.String(), "idlepush: interrupted\n") {
		t.Errorf("%v: %s", err, out.String())
	}
	isEmpty(t, tmp)
}

// selftestUnread reads the first line only, as head does.
func selftestUnread(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	c := selftestCommand(t, tmp)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	systemtest.Must(t, err)
	systemtest.Must(t, c.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	systemtest.Must(t, errors.Join(err, out.Close()))
	if err := c.Wait(); c.ProcessState.ExitCode() != 1 || !strings.Contains(errs.String(), "nobody reads its output") {
		t.Errorf("%v: %s", err, errs.String())
	}
	isEmpty(t, tmp)
}

func selftestWithoutFolder(t *testing.T) {
	t.Parallel()
	c := selftestCommand(t, t.TempDir())
	c.Env = append(c.Env, "TMPDIR=/nowhere")
	out, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), "idlepush: selftest: no folder for temporary files can be made") || !strings.Contains(string(out), "set TMPDIR") {
		t.Errorf("%v: %s", err, out)
	}
}

func selftestUsage(t *testing.T) {
	t.Parallel()
	if code, out, errs := command("selftest", "--data", "/tmp"); code != 2 || out != "" || errs != "idlepush: selftest takes no settings\n" {
		t.Errorf("%d: %s%s", code, out, errs)
	}
}

func selftestDocs(t *testing.T) {
	t.Parallel()
	want := "| hardship | what is done |\n| --- | --- |\n"
	for _, h := range hardships {
		want += "| " + h.name + " | " + h.does + " |\n"
	}
	if !strings.Contains(read(t, "docs/operate.md"), want+"\n") {
		t.Errorf("docs/operate.md lacks the table\n%s", want)
	}
}

// TestSelftestFinds spoils what idlepush does, or what is around it: the selftest must find that.
func TestSelftestFinds(t *testing.T) {
	t.Parallel()
	const short = 10 * time.Second // for what never comes
	for name, c := range map[string]struct {
		hardship string
		maxRing  time.Duration
		spoil    func(b *bench)
		found    string
	}{
		"mail that nobody looks for": {"lying IDLE", short, func(b *bench) { b.hardship.interval = 0 },
			"before it: lost 1 of 1 mails; mail 1 did not ring on Pixel, iPhone, Firefox, Fairphone within 10s"},
		"a push that is lost": {"BYE", short, spoilFCM(3, 0), "lost 1 of 2 mails; mail 2 did not ring on Pixel within 10s"},
		"a push too many":     {"BYE", maxRing, spoilFCM(3, 2), "mail 2 rang 2 times on Pixel"},
		"a mail that is old": {"BYE", maxRing, func(b *bench) {
			b.order(beforeIdle, func(talk *imaptest.Talk) { talk.Deliver(message("old mail", time.Now())) })
		}, "old mail rang, which was there before"},
		"a push too soon":         {"429", maxRing, func(b *bench) { b.clock.move(time.Hour) }, "although the service had said: not for 3s"},
		"a push that comes again": {"restart", maxRing, func(b *bench) { b.ledger.repeats = false }, "rang 2 times on "},
		"a push that is refused": {"BYE", maxRing, func(b *bench) { b.apns.Topic = "org.example.other" },
			"before it: no push reaches the iPhone: "},
		"a disk that stays full": {"full disk", short, func(b *bench) { b.core.dispatcher.Sent = func(push.Sent) { b.disk.full.Store(true) } },
			"lost 1 of "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(hardships, func(h hardship) bool { return h.name == c.hardship })
			var out, log bytes.Buffer
			err := selftest{hardships: hardships[i : i+1], maxRing: c.maxRing, spoil: c.spoil}.run(testenv.Context(t), &out, &log)
			row := regexp.MustCompile(`(?m)^FAILED  ` + c.hardship + `  .*$`).FindString(out.String())
			if !errors.Is(err, errFound) || !strings.Contains(row, c.found) || !strings.HasSuffix(out.String(), "\nidlepush broke its promise in 1 of 1 hardships\n") {
				t.Errorf("%v: %s", err, out.String())
			}
			if !strings.HasPrefix(log.String(), "\nlog of "+c.hardship+":\n") {
				t.Errorf("the log is %s", log.String())
			}
		})
	}
}

// spoilFCM has the phone get the n-th message so often.
func spoilFCM(n int64, often int) func(*bench) {
	return func(b *bench) {
		received, count := b.fcm.Received, new(atomic.Int64)
		b.fcm.Received = func(m pushtest.FCMMessage) {
			if count.Add(1) != n {
				received(m)
				return
			}
			for range often {
				received(m)
			}
		}
	}
}
