package idlepush

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxLink bounds a template, in bytes.
const maxLink = 500

// What stands in a template for what differs from mail to mail.
const (
	linkMessageID = "{message_id}"
	linkFolder    = "{folder}"
	linkEmail     = "{email}"
)

var (
	linkScheme      = regexp.MustCompile(`^([a-z][a-z0-9+.-]*):`)
	linkPlaceholder = regexp.MustCompile(`\{[^}]*\}?|\}`)
)

// allowedSchemes are the schemes that open a mail or a place to read it: those of web pages, of
// mail programs (RFC 2392 and Apple's), and of mail apps. Many others run something, and a person
// who shares a mailbox chooses the link for others.
var allowedSchemes = []string{"https", "http", "message", "mid", "googlegmail", "ms-outlook", "readdle-spark", "airmail"}

// CheckLink returns why the template of the account's link is not valid, or the zero Reason. The
// link opens when a person clicks on a notification. An empty template is valid: there is no link.
func (a Account) CheckLink() Reason {
	template := a.Link
	if template == "" {
		return Reason{}
	}
	if len(template) > maxLink {
		return Reason{Code: "link_too_long"}.With("limit", strconv.Itoa(maxLink))
	}
	if strings.ContainsFunc(template, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) || strings.ContainsRune("<>\"\\^`|", r) }) {
		return Reason{Code: "link_characters"}
	}
	for _, p := range linkPlaceholder.FindAllString(template, -1) {
		if p != linkMessageID && p != linkFolder && p != linkEmail {
			known := strings.Join([]string{linkMessageID, linkFolder, linkEmail}, ", ")
			return Reason{Code: "link_placeholder"}.With("known", known)
		}
	}
	scheme := linkScheme.FindStringSubmatch(template)
	if scheme == nil || !slices.Contains(allowedSchemes, scheme[1]) {
		return Reason{Code: "link_scheme"}.With("schemes", strings.Join(allowedSchemes, ":, ")+":")
	}
	u, err := url.Parse(fillLink(template, "x", "x", "x"))
	if err != nil || (scheme[1] == "https" || scheme[1] == "http") && (u.Host == "" || u.User != nil || strings.ContainsAny(authority(template), "{}")) {
		return Reason{Code: "link_invalid"}
	}
	return Reason{}
}

// authority returns the part of an http address with the host.
func authority(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// LinkTo returns the link for a click on a notification of the account's mail, made from its
// template. It is empty if there is no template or the mail lacks a field of it: the click opens
// the page.
func (a Account) LinkTo(n Notification) string {
	if a.Link == "" || n.Kind != KindMail || n.Content.MessageID == "" && strings.Contains(a.Link, linkMessageID) {
		return ""
	}
	return fillLink(a.Link, n.Content.MessageID, n.Folder, a.Email)
}

func fillLink(template, messageID, folder, email string) string {
	return strings.NewReplacer(linkMessageID, escapeLink(messageID), linkFolder, escapeLink(folder), linkEmail, escapeLink(email)).Replace(template)
}

// escapeLink escapes text so that it is one word anywhere in an address.
func escapeLink(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
