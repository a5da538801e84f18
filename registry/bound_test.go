package registry

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"idlepush/registry/testenv"
)

// bound is the most reads and writes of one transaction of etcd, in round numbers.
const bound = 100

// boundVariable holds the bound of the stores of a test process.
const boundVariable = "TEST_BOUND"

func boundGiven() int {
	n, _ := strconv.Atoi(os.Getenv(boundVariable))
	return n
}

// TestSuiteWithBound runs all other tests again, in a process whose stores have one.
func TestSuiteWithBound(t *testing.T) {
	if boundGiven() > 0 {
		return // this is that process
	}
	cmd := exec.CommandContext(testenv.Context(t), os.Args[0])
	cmd.Env = append(os.Environ(), boundVariable+"="+strconv.Itoa(bound))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with a bound of %d: %v\n%s", bound, err, out)
	}
}
