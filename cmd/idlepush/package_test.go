package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

// release is what the tests need of .goreleaser.yaml.
type release struct {
	Nfpms []struct {
		PackageName  string `yaml:"package_name"`
		Maintainer   string
		Description  string
		License      string
		Section      string
		Bindir       string
		Dependencies []string
		Contents     []map[string]any
		Scripts      map[string]string
	}
}

func readRelease(t *testing.T) (r release) {
	t.Helper()
	systemtest.Must(t, yaml.Unmarshal([]byte(read(t, ".goreleaser.yaml")), &r))
	if len(r.Nfpms) != 1 {
		t.Fatalf("a release has %d packages", len(r.Nfpms))
	}
	return r
}

// buildPackage builds a package of the format ("deb" or "rpm") as a release does, with that
// version, and returns its path.
func buildPackage(t *testing.T, format, binary, version string) (path string) {
	t.Helper()
	home, err := exec.CommandContext(testenv.Context(t), "go", "env", "GOPATH").Output()
	systemtest.Must(t, err)
	nfpm, err := exec.LookPath(filepath.Join(strings.TrimSpace(string(home)), "bin", "nfpm"))
	if err != nil {
		testenv.Missing(t, "nfpm is not installed: .ci/install does that")
	}
	p := readRelease(t).Nfpms[0]
	for _, file := range p.Contents {
		if file["src"] == "third-party-licenses.txt" { // a hook makes it
			file["src"] = filepath.Join(t.TempDir(), "licenses")
			texts, err := exec.CommandContext(testenv.Context(t), top+"/deploy/package/licenses").Output()
			systemtest.Must(t, errors.Join(err, os.WriteFile(file["src"].(string), texts, 0o600)))
		}
	}
	contents := append([]map[string]any{{"src": binary, "dst": p.Bindir + "/idlepush", "file_info": map[string]any{"mode": 0o755}}}, p.Contents...)
	config, err := yaml.Marshal(map[string]any{"name": p.PackageName, "arch": runtime.GOARCH, "platform": "linux", "version": version,
		"maintainer": p.Maintainer, "description": p.Description, "license": p.License, "section": p.Section, "depends": p.Dependencies,
		"contents": contents, "scripts": p.Scripts})
	systemtest.Must(t, err)
	file := filepath.Join(t.TempDir(), "nfpm.yaml")
	systemtest.Must(t, os.WriteFile(file, config, 0o600))
	path = filepath.Join(t.TempDir(), "idlepush_"+version+"."+format)
	c := exec.CommandContext(testenv.Context(t), nfpm, "package", "--config", file, "--packager", format, "--target", path)
	c.Dir = top
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// inCopy runs a script as root in a copy of this system, which it may change. The copy has a
// network of its own.
const inCopy = `set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --bind /proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
mkdir -p "$1/root/packages"
cp "$2" "$1/root/packages/old"
cp "$3" "$1/root/packages/new"
exec chroot "$1/root" sh -ec "$4"
`

// TestPackage installs the packages, runs the program, upgrades and removes it.
func TestPackage(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		testenv.Missing(t, "only root on Linux can install a package")
	}
	t.Run("for Debian", func(t *testing.T) { installPackage(t, "deb", debLife) })
	if _, err := exec.LookPath("rpm"); err != nil {
		testenv.Missing(t, "rpm is not installed: .ci/install does that")
	}
	t.Run("for Red Hat", func(t *testing.T) { installPackage(t, "rpm", rpmLife) })
}

// debLife installs the package for Debian, upgrades, removes, installs again and purges it.
const debLife = `
dpkg -i /packages/old
idlepush version
test -f /usr/share/doc/idlepush/operate.md
grep -q "Permission is hereby granted" /usr/share/doc/idlepush/third-party-licenses.txt
test "$(stat -c %a /etc/idlepush/idlepush.env)" = 600
systemd-analyze verify /usr/lib/systemd/system/idlepush.service
idlepush serve --listen 127.0.0.1:0 --data /var/lib/idlepush 2>/tmp/log &
for i in $(seq 600); do if grep -q "idlepush is running" /tmp/log; then break; fi; sleep 0.1; done
kill $!
wait $!
echo "IDLEPUSH_BURST_LIMIT=7" >>/etc/idlepush/idlepush.env
dpkg -i /packages/new
grep -q "LIMIT=7" /etc/idlepush/idlepush.env
dpkg -r idlepush
test ! -e /usr/bin/idlepush
test -f /var/lib/idlepush/idlepush.db
dpkg -i /packages/new | grep "set it up is in its log"
grep -q "LIMIT=7" /etc/idlepush/idlepush.env
dpkg -r idlepush
dpkg -P idlepush
test ! -e /var/lib/idlepush
test ! -e /etc/idlepush
test ! -e /usr/share/doc/idlepush
echo all is well
`

// rpmLife installs the package for Red Hat, upgrades and removes it. Here rpm does not know what is
// installed by other means.
const rpmLife = `
rpm -i --nodeps /packages/old | grep "set it up is in its log"
idlepush version
test "$(stat -c %a /etc/idlepush/idlepush.env)" = 600
mkdir -p /var/lib/idlepush
echo "IDLEPUSH_BURST_LIMIT=7" >>/etc/idlepush/idlepush.env
if rpm -U --nodeps /packages/new | grep "set it up is in its log"; then exit 1; fi
grep -q "LIMIT=7" /etc/idlepush/idlepush.env
rpm -e idlepush
test ! -e /usr/bin/idlepush
test ! -e /etc/idlepush/removed
test -d /var/lib/idlepush
rpm -i --nodeps /packages/new | grep "set it up is in its log"
rpm -e idlepush
echo all is well
`

// installPackage has a script install two versions of a package in a copy of this system.
func installPackage(t *testing.T, format, script string) {
	t.Parallel()
	program := itself(t)
	old, new := buildPackage(t, format, program.Path, "1.0.0"), buildPackage(t, format, program.Path, "1.1.0")
	c := exec.CommandContext(testenv.Context(t), "unshare", "--mount", "--net", "--pid", "--fork", "sh", "-ec", "ip link set lo up\n"+inCopy, "sh", t.TempDir(), old, new, script)
	c.Env = append(os.Environ(), program.Env...)
	out, err := c.CombinedOutput()
	if err != nil || !bytes.HasSuffix(out, []byte("all is well\n")) || !bytes.Contains(out, []byte("set it up is in its log")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestUnit checks the unit of systemd against what the program does, and that it is closed off.
func TestUnit(t *testing.T) {
	t.Parallel()
	unit := read(t, "deploy/systemd/idlepush.service")
	for _, line := range []string{"Type=notify", "DynamicUser=yes", "StateDirectory=idlepush", "StateDirectoryMode=0700", "NoNewPrivileges=yes",
		"ProtectSystem=strict", "CapabilityBoundingSet=", "WatchdogSec=5min", "TimeoutStopSec=15s", "Environment=IDLEPUSH_DATA=%S/idlepush"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		testenv.Missing(t, "systemd-analyze is not installed: in Debian it comes with systemd")
	}
	// 10 is what has no bounds; systemd calls up to 2 "OK".
	c := exec.CommandContext(testenv.Context(t), analyze, "security", "--offline=true", "--threshold=20", "--no-pager", top+"/deploy/systemd/idlepush.service")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, setting := range []string{"IDLEPUSH_PUBLIC_URL", "IDLEPUSH_LISTEN", "IDLEPUSH_TRUSTED_PROXIES", "IDLEPUSH_ALLOW_MAIL"} {
		if !strings.Contains(read(t, "deploy/package/idlepush.env"), "\n#"+setting+"=") {
			t.Errorf("idlepush.env has no %s", setting)
		}
	}
}
