package main

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"idlepush"
	"idlepush/netguard"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	t.Run("flags, environment and defaults", settingsSources)
	t.Run("an error names the setting and no secret", settingsErrors)
	t.Run("a misspelt variable is found", settingsMisspelt)
	t.Run("the container files use settings that exist and values that parse", settingsOfContainer)
}

func settingsSources(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("a-token-of-enough-length\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		want func(settings) bool
	}{
		"defaults": {nil, nil, func(s settings) bool {
			return s.listen == "127.0.0.1:8080" && s.data == "./data" && !s.log.json && s.burstLimit == 5
		}},
		"flag":               {[]string{"--listen=:1"}, nil, func(s settings) bool { return s.listen == ":1" }},
		"environment":        {nil, map[string]string{"IDLEPUSH_LISTEN": ":2"}, func(s settings) bool { return s.listen == ":2" }},
		"flag before it":     {[]string{"--listen=:1"}, map[string]string{"IDLEPUSH_LISTEN": ":2"}, func(s settings) bool { return s.listen == ":1" }},
		"empty is not given": {nil, map[string]string{"IDLEPUSH_LISTEN": ""}, func(s settings) bool { return s.listen == "127.0.0.1:8080" }},
		"secret from a file": {nil, map[string]string{"IDLEPUSH_ADMIN_TOKEN_FILE": file}, func(s settings) bool { return string(s.adminToken) == "a-token-of-enough-length" }},
		"file flag":          {[]string{"--admin-token-file", file}, nil, func(s settings) bool { return string(s.adminToken) == "a-token-of-enough-length" }},
		"public url":         {[]string{"--public-url=https://push.example.org/"}, nil, func(s settings) bool { return s.publicURL == "https://push.example.org" }},
		"nets are masked": {[]string{"--trusted-proxies=10.1.2.3/8, fd00::1/8"}, nil, func(s settings) bool {
			return len(s.trustedProxies) == 2 && s.trustedProxies[0] == netip.MustParsePrefix("10.0.0.0/8")
		}},
		"mail and push": {[]string{"--allow-mail=10.1.2.3/8", "--allow-push=10.0.0.1:8080"}, nil, func(s settings) bool {
			mail := netguard.Target{Host: "10.0.0.1", Addr: netip.MustParseAddrPort("10.0.0.1:143"), Plain: true}
			push := netguard.Target{Host: "10.0.0.1", Addr: netip.MustParseAddrPort("10.0.0.1:8080"), Plain: true}
			return s.allowMail.Permit(mail) == nil && s.allowMail.Permit(push) != nil && s.allowPush.Permit(push) == nil && s.allowPush.Permit(mail) != nil
		}},
		"a client of a provider": {[]string{"--oauth-microsoft-client-id=6731de76-14a6-49ae-97bc-6eba6914391e", "--oauth-microsoft-client-secret-file", file}, nil, func(s settings) bool {
			return len(s.oauth) == 1 && s.oauth["microsoft"] == idlepush.OAuthClient{Provider: "microsoft", ID: "6731de76-14a6-49ae-97bc-6eba6914391e", Secret: "a-token-of-enough-length"}
		}},
		"a client of an issuer": {nil, map[string]string{"IDLEPUSH_OAUTH_ISSUER": "https://login.example.org/realms/home", "IDLEPUSH_OAUTH_CLIENT_ID": "2"}, func(s settings) bool {
			return len(s.oauth) == 1 && s.oauth["other"] == idlepush.OAuthClient{Provider: "other", Issuer: "https://login.example.org/realms/home", ID: "2"}
		}},
		"what waits for calls": {[]string{"--alive-url=https://hc-ping.com/id"}, nil, func(s settings) bool { return s.monitoring.alive == "https://hc-ping.com/id" }},
		"no burst limit":       {[]string{"--burst-limit=0"}, nil, func(s settings) bool { return s.burstLimit == 0 }},
		"mailto":               {[]string{"--vapid-subject=mailto:a@example.org"}, nil, func(s settings) bool { return s.push["vapid-subject"] == "mailto:a@example.org" }},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parse("serve", c.args, func(k string) string { return c.env[k] }, new(bytes.Buffer))
			if err != nil || !c.want(s) {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
}

func settingsErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ setting, value string }{
		{"listen", "planted"}, {"public-url", "http://planted.example"}, {"public-url", "https://planted.example/path"}, {"admin-token", "planted"},
		{"key", "planted"}, {"allow-nets", "planted"}, {"allow-nets", "10.0.0.0/8"}, {"allow-mail", "planted,planted:x"}, {"allow-mail", "fd00::/8"}, {"allow-push", "planted"}, {"allow-push", "10.0.0.0/8:80"}, {"trusted-proxies", "planted"}, {"trusted-proxies", "10.0.0.1"}, {"fcm-endpoint", "planted"}, {"apns-endpoint", "ftp://planted"},
		{"vapid-subject", "planted"}, {"vapid-subject", "mailto:planted"}, {"vapid-subject", "https://"},
		{"vapid-subject", "mailto:me@planted.local"}, {"vapid-subject", "https://planted"}, {"vapid-subject", "https://localhost"}, {"burst-limit", "planted"}, {"burst-limit", "-1"}, {"burst-limit", "101"},
		{"oauth-issuer", "planted"}, {"oauth-issuer", "http://planted.example"}, {"oauth-issuer", "https://planted.example/?a=b"}, {"oauth-issuer", "https://u:p@planted.example"},
		{"alive-url", "planted"}, {"alive-url", "ftp://planted.example"}, {"alive-url", "https://"}, {"alive-url", "https://u:planted@example.org/"},
		{"log-level", "planted"}, {"log-format", "planted"},
	} {
		_, err := parse("serve", []string{"--" + c.setting + "=" + c.value}, func(string) string { return "" }, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), "--"+c.setting) || !strings.Contains(err.Error(), variable(c.setting)) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", c.setting, err)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--apns-key=x"}, "apns-key-id"}, {[]string{"--apns-key-id=x"}, "apns-key "}, {[]string{"--admin-token-file=/no/such/file"}, "admin-token"},
		{[]string{"--oauth-google-client-secret=x"}, "oauth-google-client-id "}, {[]string{"--oauth-google-client-id=x"}, "oauth-google-client-secret "}, {[]string{"--oauth-microsoft-client-id=x"}, "such as 6731de76-14a6-49ae-97bc-6eba6914391e"}, {[]string{"--oauth-issuer=https://a.example"}, "oauth-client-id "}, {[]string{"--oauth-client-id=x"}, "oauth-issuer "},
		{[]string{"--admin-token=aaaaaaaaaaaaaaaaaaaaaaaa", "--admin-token-file=/no/such/file"}, "remove one"},
		{[]string{"--listen=:1", "stray"}, "argument 2"}, {[]string{"--no-such"}, "no-such"},
	} {
		if _, err := parse("serve", c.args, func(string) string { return "" }, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "stray") {
			t.Errorf("%q: %v", c.args, err)
		}
	}
	allowNetsRefused(t)
	help := new(bytes.Buffer)
	if _, err := parse("serve", []string{"-help"}, func(string) string { return "" }, help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v", err)
	}
	for _, s := range table() {
		if !strings.Contains(help.String(), "-"+s.name+" ") {
			t.Errorf("-help does not tell of %s", s.name)
		}
	}
}

// allowNetsRefused checks that the setting of old is refused wherever it is given.
func allowNetsRefused(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "networks")
	if err := os.WriteFile(file, []byte("10.0.0.0/8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		env  map[string]string
	}{
		{[]string{"--allow-nets=10.0.0.0/8"}, nil},
		{[]string{"--allow-nets-file", file}, nil},
		{nil, map[string]string{"IDLEPUSH_ALLOW_NETS": "10.0.0.0/8"}},
		{nil, map[string]string{"IDLEPUSH_ALLOW_NETS_FILE": file}},
	} {
		_, err := parse("serve", c.args, func(k string) string { return c.env[k] }, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), "in allow-mail") || !strings.Contains(err.Error(), "in allow-push") {
			t.Errorf("%q %v: %v", c.args, c.env, err)
		}
	}
}

func settingsMisspelt(t *testing.T) {
	t.Parallel()
	got := unknownVariables([]string{"HOME=/", "IDLEPUSH_LISTEN=:1", "IDLEPUSH_ALOW_NETS=10.0.0.0/8", "IDLEPUSH_KEY_FILE=f", "IDLEPUSH_LISTEN_FILE=f"})
	if !slices.Equal(got, []string{"IDLEPUSH_ALOW_NETS", "IDLEPUSH_LISTEN_FILE"}) {
		t.Errorf("noticed %q", got)
	}
}

// top is the root of the repository.
const top = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// known returns all variables that the program reads.
func known() map[string]bool {
	all := make(map[string]bool)
	for _, s := range table() {
		all[variable(s.name)] = true
		if s.secret {
			all[variable(s.name)+"_FILE"] = true
		}
	}
	return all
}

var variables = regexp.MustCompile(`IDLEPUSH_[A-Z_]+`)

func settingsOfContainer(t *testing.T) {
	t.Parallel()
	if strings.Contains(read(t, ".dockerignore"), ".git") {
		t.Error("the image is built without .git, so its version is not known")
	}
	var compose struct {
		Services map[string]struct {
			Build   struct{ Context, Dockerfile string }
			Ports   []string
			EnvFile []struct {
				Path     string
				Required bool
			} `yaml:"env_file"`
			Environment map[string]string
			Volumes     []string
			Profiles    []string
			Networks    map[string]struct {
				Address string `yaml:"ipv4_address"`
			}
		}
		Networks map[string]struct {
			IPAM struct {
				Config []struct {
					Subnet, Gateway string
					Range           string `yaml:"ip_range"`
				}
			}
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal([]byte(read(t, "docker-compose.yml")), &compose); err != nil {
		t.Fatal(err)
	}
	service, ok := compose.Services["idlepush"]
	if !ok || len(service.Ports) != 1 || !strings.HasSuffix(service.Ports[0], ":8080") || !slices.Equal(service.Volumes, []string{"idlepush-data:/data"}) {
		t.Errorf("the service is %+v", service)
	}
	if len(service.EnvFile) != 1 || service.EnvFile[0].Path != ".env" || service.EnvFile[0].Required {
		t.Errorf("settings come from %v, want .env, which need not be there", service.EnvFile)
	}
	if _, ok := compose.Volumes["idlepush-data"]; !ok {
		t.Error("the volume is not declared")
	}
	dockerfile := read(t, service.Build.Dockerfile)
	env := make(map[string]string)
	for _, m := range regexp.MustCompile(`(IDLEPUSH_[A-Z_]+)=(\S+)`).FindAllStringSubmatch(dockerfile, -1) {
		env[m[1]] = m[2]
	}
	for name, value := range service.Environment {
		// The value that compose sets if the variable is unset.
		env[name] = regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`).ReplaceAllString(value, "$1")
	}
	for _, text := range []string{dockerfile, read(t, "docker-compose.yml")} {
		for _, name := range variables.FindAllString(text, -1) {
			if !known()[name] {
				t.Errorf("%s is no setting", name)
			}
		}
	}
	s, err := parse("serve", nil, func(name string) string { return env[name] }, new(bytes.Buffer))
	if err != nil || s.listen != ":8080" || s.data != "/data" {
		t.Errorf("the container would run with %+v, %v", s, err)
	}
	// Only the proxy is trusted, at an address that Docker gives to nobody else.
	caddy := compose.Services["caddy"]
	proxy := netip.MustParseAddr(caddy.Networks["default"].Address)
	network := compose.Networks["default"].IPAM.Config[0]
	if len(s.trustedProxies) != 1 || s.trustedProxies[0] != netip.PrefixFrom(proxy, 32) || !netip.MustParsePrefix(network.Subnet).Contains(proxy) ||
		netip.MustParsePrefix(network.Range).Contains(proxy) || network.Gateway == proxy.String() {
		t.Errorf("the proxy is at %v in %+v, and those in %v are trusted", proxy, network, s.trustedProxies)
	}
	if !slices.Equal(caddy.Profiles, []string{"https"}) || !slices.Contains(caddy.Ports, "443:443") || !slices.Contains(caddy.Volumes, "./Caddyfile:/etc/caddy/Caddyfile:ro") ||
		caddy.Environment["IDLEPUSH_PUBLIC_URL"] != "${IDLEPUSH_PUBLIC_URL:-}" {
		t.Errorf("the proxy is %+v", caddy)
	}
	if file := read(t, "Caddyfile"); !strings.Contains(file, "{$IDLEPUSH_PUBLIC_URL}") || !strings.Contains(file, "reverse_proxy idlepush"+s.listen) {
		t.Errorf("the proxy leads elsewhere: %s", file)
	}
	for _, want := range []string{"./cmd/idlepush", "VOLUME /data", "EXPOSE 8080", "ca-certificates.crt", `CMD ["serve"]`} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile lacks %s", want)
		}
	}
}
