package services_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDependencies checks that the tests of package push build no SDK of a service: the reason why
// this package exists.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-test", "idlepush/push").Output()
	fatal(t, err)
	for line := range strings.Lines(string(out)) {
		for _, sdk := range []string{"firebase.google.com/", "google.golang.org/grpc", "github.com/sideshow/apns2"} {
			if strings.HasPrefix(line, sdk) {
				t.Errorf("the tests of package push need %s", line)
			}
		}
	}
	if !strings.Contains(string(out), "go.uber.org/goleak\n") {
		t.Errorf("this test sees nothing: %s", out)
	}
}
