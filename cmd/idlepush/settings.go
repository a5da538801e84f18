package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"idlepush"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/registry"
)

// settings holds the checked values of all settings.
type settings struct {
	listen         string
	data           string
	publicURL      string // if empty, the origin of setup is used
	adminToken     idlepush.Secret
	key            []byte           // if nil, the key file in data is used
	allowMail      netguard.Allowed // for mail servers and for finding their settings
	allowPush      netguard.Allowed // for push endpoints
	trustedProxies netguard.Networks
	push           push.Values                     // of push services; nil if all are unset
	oauth          map[string]idlepush.OAuthClient // by provider; nil if there are none
	burstLimit     int                             // 0 means no limit
	backups        backupSettings
	monitoring     monitoringSettings
	log            logSettings
	set            []string // the names of those that are not their defaults
}

// logSettings are those of the log.
type logSettings struct {
	level slog.Level
	json  bool
}

// monitoringSettings are those of what watches over idlepush.
type monitoringSettings struct {
	listen string          // of the metrics; empty: only the API serves them
	alive  idlepush.Secret // the URL that is called while all is well; empty: none is
}

// backupSettings are those of backups.
type backupSettings struct {
	folder     string          // of the daily backups; empty: there are none
	keep       int             // how many of them
	passphrase idlepush.Secret // encrypts the key in each; empty: they are without
}

// maxBurst bounds burst-limit: more notifications a minute are of no use on a phone.
const maxBurst = 100

// maxKeep bounds backup-keep: a year.
const maxKeep = 366

// setting is one line of the table: the flag --name and the variable IDLEPUSH_NAME. A secret also
// has the flag --name-file and the variable IDLEPUSH_NAME_FILE, which name a file with its value.
type setting struct {
	name    string
	value   string // the default
	secret  bool
	meaning string
	set     func(s *settings, value string) error
}

// table returns every setting. set is called for each one that is not empty; its error says which
// values are allowed.
func table() []setting { return slices.Concat(general, ofClients(), ofServices(), last) }

// ofServices returns the settings of the push services.
func ofServices() (list []setting) {
	for _, service := range services {
		for _, p := range service.Settings {
			list = append(list, setting{p.Name, "", p.Secret, p.Meaning, func(s *settings, v string) error {
				if s.push == nil {
					s.push = make(push.Values)
				}
				s.push[p.Name] = v
				if p.Check == nil {
					return nil
				}
				return p.Check(v)
			}})
		}
	}
	return list
}

// general are the settings before those of push services.
var general = []setting{
	{"listen", "127.0.0.1:8080", false, "`address` and port where the API and the page are served", func(s *settings, v string) error {
		s.listen = v
		return listenAddress(v)
	}},
	{"metrics-listen", "", false, "`address` and port where GET /metrics needs no token; nobody else must reach it", func(s *settings, v string) error {
		s.monitoring.listen = v
		return listenAddress(v)
	}},
	{"data", "./data", false, "`folder` of the store and the key file, created with mode 0700", text(func(s *settings) *string { return &s.data })},
	{"public-url", "", false, "the https `origin` at which phones reach this server; default: that used at setup", func(s *settings, v string) error {
		u, err := origin(v)
		s.publicURL = u
		return err
	}},
	{"admin-token", "", true, "a bearer `token` with admin rights, for provisioning", func(s *settings, v string) error {
		s.adminToken = idlepush.Secret(v)
		if len(v) < 20 {
			return errors.New("want at least 20 characters, as from `head -c 24 /dev/urandom | base64`")
		}
		return nil
	}},
	{"key", "", true, "the `key` that encrypts stored secrets, 32 bytes in base64; default: the file key in the data folder", func(s *settings, v string) (err error) {
		s.key, err = registry.ParseKey(v)
		return err
	}},
	{"allow-mail", "", false, "`hosts`, addresses and networks, separated by commas, where mail servers are allowed, beside the public internet; at ports 143 and 993, unless one ends with :port, or with :* for all; plain-text IMAP is allowed only there",
		allowed(netguard.ParseMail, func(s *settings) *netguard.Allowed { return &s.allowMail })},
	{"allow-push", "", false, "`host:port`, several separated by commas, where push endpoints are allowed, beside the public internet; http: is allowed only there",
		allowed(netguard.ParsePush, func(s *settings) *netguard.Allowed { return &s.allowPush })},
	// An unknown variable is only logged. Mail servers at home would be unreachable without a
	// reason. The setting counts as a secret only so that its file is refused too.
	{"allow-nets", "", true, "refused: `networks` of mail servers belong in allow-mail, push servers in allow-push", func(*settings, string) error {
		return errors.New("is no longer a setting: write the networks of mail servers in allow-mail, such as 192.168.1.0/24, " +
			"and push servers of your own in allow-push, such as 192.168.1.10:8080")
	}},
	{"trusted-proxies", "", false, "`networks` (CIDR, separated by commas) of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto, or else Forwarded, are believed",
		networks(func(s *settings) *netguard.Networks { return &s.trustedProxies })},
}

// last are the settings after those of push services.
var last = []setting{
	{"burst-limit", "5", false, "`mails` per minute, device and account that are notified one by one, before a summary replaces the rest; 0: no limit", func(s *settings, v string) error {
		n, err := strconv.ParseUint(v, 10, 16)
		s.burstLimit = int(n)
		if err != nil || n > maxBurst {
			return fmt.Errorf("want a number from 0 to %d", maxBurst)
		}
		return nil
	}},
	{"backup-folder", "", false, "`folder` where a backup is made each day", text(func(s *settings) *string { return &s.backups.folder })},
	{"backup-keep", "7", false, "`how many` of the daily backups are kept", func(s *settings, v string) error {
		n, err := strconv.ParseUint(v, 10, 16)
		s.backups.keep = int(n)
		if err != nil || n < 1 || n > maxKeep {
			return fmt.Errorf("want a number from 1 to %d", maxKeep)
		}
		return nil
	}},
	{"backup-passphrase", "", true, "a `passphrase` that encrypts the key of the store in backups; default: they are without the key", func(s *settings, v string) error {
		s.backups.passphrase = idlepush.Secret(v)
		return checkPassphrase(v)
	}},
	{"alive-url", "", true, "the https `address` that is called each minute while all is well, such as that of a check at healthchecks.io; when a promise is broken, /fail below it is called instead, once", func(s *settings, v string) error {
		s.monitoring.alive = idlepush.Secret(v)
		return checkAliveURL(v)
	}},
	{"log-level", "info", false, "minimum `level` of log messages: debug, info, warn or error", func(s *settings, v string) error {
		if s.log.level.UnmarshalText([]byte(v)) != nil {
			return errors.New("want debug, info, warn or error")
		}
		return nil
	}},
	{"log-format", "text", false, "`format` of the log: text or json", func(s *settings, v string) error {
		s.log.json = v == "json"
		if v != "json" && v != "text" {
			return errors.New("want text or json")
		}
		return nil
	}},
}

// listenAddress checks an address to listen on.
func listenAddress(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("want address:port, such as 127.0.0.1:8080 or :8080")
	}
	return nil
}

func allowed(parse func(string) (netguard.Allowed, error), field func(*settings) *netguard.Allowed) func(*settings, string) error {
	return func(s *settings, v string) (err error) {
		*field(s), err = parse(v)
		return err
	}
}

func networks(field func(*settings) *netguard.Networks) func(*settings, string) error {
	return func(s *settings, v string) error {
		parsed, err := netguard.Parse(v)
		if err != nil {
			return errors.New("want networks such as 192.168.1.0/24,fd00::/8, separated by commas")
		}
		*field(s) = parsed
		return nil
	}
}

func text(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = v
		return nil
	}
}

func origin(v string) (string, error) {
	u, err := url.Parse(strings.TrimSuffix(v, "/"))
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", errors.New("want an https origin, such as https://push.example.org")
	}
	return "https://" + u.Host, nil
}

// check checks the settings that depend on each other.
func (s settings) check() error {
	if err := s.checkClients(); err != nil {
		return err
	}
	for _, service := range services {
		if service.Check == nil {
			continue
		}
		err := service.Check(s.push)
		if bad, ok := errors.AsType[*push.SettingError](err); ok {
			return fmt.Errorf("setting %s (--%s or %s): %s", bad.Name, bad.Name, variable(bad.Name), bad.Problem)
		} else if err != nil {
			return err
		}
	}
	return nil
}
