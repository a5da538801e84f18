package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"idlepush/registry/registrytest"
)

func TestPrintSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(registrytest.SecretMarker+" passphrase"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"IDLEPUSH_DATA": "/var/lib/idlepush", "IDLEPUSH_LISTEN": ":1", "IDLEPUSH_BACKUP_PASSPHRASE_FILE": file}
	var out, errs bytes.Buffer
	code := run([]string{"serve", "--listen=:8081", "--admin-token=" + registrytest.SecretMarker + "-token-that-is-long", "--print-settings"}, func(k string) string { return env[k] }, &out, &errs)
	if code != 0 || errs.Len() > 0 {
		t.Fatalf("%d, %s", code, errs.String())
	}
	for _, line := range []string{
		`listen +:8081 +--listen`, `data +/var/lib/idlepush +IDLEPUSH_DATA`, `admin-token +\(secret\) +--admin-token`, `key +- +not given`,
		`burst-limit +5 +the default`, `backup-passphrase +\(secret\) +IDLEPUSH_BACKUP_PASSPHRASE_FILE`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).Match(out.Bytes()) {
			t.Errorf("no line is %s in\n%s", line, out.String())
		}
	}
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != len(table()) || bytes.Contains(out.Bytes(), []byte(registrytest.SecretMarker)) {
		t.Errorf("it prints %d lines:\n%s", n, out.String())
	}
	if code := run([]string{"serve", "--burst-limit=x", "--print-settings"}, nothing, &out, &errs); code != 2 {
		t.Errorf("with a wrong setting it ends with %d", code)
	}
}
