package oauth

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// answer is what TokenURL and DeviceURL answer (RFC 6749 sections 5.1 and 5.2, RFC 8628 section
// 3.2).
type answer struct {
	status int
	after  time.Duration // how long to wait before the next request
	json   bool          // it was a JSON object

	Access    string `json:"access_token"`
	Type      string `json:"token_type"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn number `json:"expires_in"`

	DeviceCode           string `json:"device_code"`
	UserCode             string `json:"user_code"`
	VerificationURI      string `json:"verification_uri"`
	VerificationURL      string `json:"verification_url"` // as Google and drafts call it
	VerificationComplete string `json:"verification_uri_complete"`
	Interval             number `json:"interval"`

	Error       string   `json:"error"`
	Description string   `json:"error_description"`
	Numbers     []number `json:"error_codes"` // Microsoft's own
}

// number is a JSON number, or a string that holds one, as some servers send it.
type number float64

func (n *number) UnmarshalJSON(text []byte) error {
	value, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	if err == nil && !math.IsNaN(value) {
		*n = number(value)
	}
	return nil // as if it were missing
}

// How long an access token lives if the provider does not say, and within which bounds we believe
// what it says.
const (
	usualLife = time.Hour
	minLife   = time.Minute
	maxLife   = 366 * 24 * time.Hour // those of Yandex live a year
)

// life returns how long the access token can be used.
func (a answer) life() time.Duration { return min(max(a.seconds(usualLife), minLife), maxLife) }

// seconds returns expires_in, or other if it is missing.
func (a answer) seconds(other time.Duration) time.Duration {
	if a.ExpiresIn == 0 {
		return other
	}
	return time.Duration(min(max(float64(a.ExpiresIn), 0), maxLife.Seconds())) * time.Second
}

func (a answer) verification() string {
	if a.VerificationURI != "" {
		return a.VerificationURI
	}
	return a.VerificationURL
}

// refused reports whether the answer is an error. Some servers send one with 200 OK.
func (a answer) refused() bool { return a.status != http.StatusOK || !a.json || a.Error != "" }

// usable reports whether the answer has an access token that can be used as one: nothing but bearer
// tokens (RFC 6749 section 7.1), in visible characters.
func (a answer) usable() bool {
	return usable(a.Access) && (a.Refresh == "" || usable(a.Refresh)) && (a.Type == "" || strings.EqualFold(a.Type, "bearer"))
}

// parseAnswer reads an answer. A body that is not a JSON object is no error here: the status
// counts. A value of the wrong type counts as missing.
func parseAnswer(status int, header http.Header, body []byte, now time.Time) answer {
	var a answer
	err := json.Unmarshal(body, &a)
	_, wrongType := errors.AsType[*json.UnmarshalTypeError](err)
	a.json = (err == nil || wrongType) && strings.HasPrefix(strings.TrimSpace(string(body)), "{")
	if !a.json {
		a = answer{}
	}
	a.Error = strings.ToLower(a.Error) // Yahoo writes them in capitals
	a.status, a.after = status, retryAfter(header.Get("Retry-After"), now)
	return a
}

// maxAfter is the longest wait that a provider may ask for.
const maxAfter = 24 * time.Hour

// retryAfter reads the header Retry-After (RFC 9110 section 10.2.3): seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxAfter)
	}
	if date, err := http.ParseTime(text); err == nil {
		return min(max(date.Sub(now), 0), maxAfter)
	}
	return 0
}

// Errors of OAuth are words. A text of another form may be anything, a token too.
var (
	errorWord    = regexp.MustCompile(`^[a-z]+(_[a-z]+){0,5}$`)
	aadstsInText = regexp.MustCompile(`\bAADSTS([0-9]{4,8})\b`)
)

// said returns the words of the provider that can be shown: the name of the error, and Microsoft's
// number of it. A description may hold addresses and tokens, and is not shown.
func (a answer) said() string {
	if !errorWord.MatchString(a.Error) || len(a.Error) > 40 {
		return ""
	}
	if n := a.aadsts(); n != 0 {
		return a.Error + ", AADSTS" + strconv.Itoa(n)
	}
	return a.Error
}

// aadsts returns Microsoft's number of the error, or 0.
func (a answer) aadsts() int {
	for _, n := range a.Numbers {
		if n >= 1000 && n < 1e8 {
			return int(n)
		}
	}
	found := aadstsInText.FindStringSubmatch(a.Description)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(found[1])
	return n
}
