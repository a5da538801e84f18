// Package watcher keeps an IMAP session for each account and finds new mail.
//
// A [Pool] runs one session for each enabled account. A session's loop is "catch up, then wait" and
// nothing else: start, reconnect, EXISTS, refresh and polling all take the same path. So new mail
// is found in one place, and none can fall between two paths. Nothing in a mailbox changes: folders
// are opened with EXAMINE (RFC 3501 section 6.3.2), and bodies are read with BODY.PEEK.
//
// A mail is new if its UID is at or past the folder's [registry.Cursor]. It does not ring if its
// flags say that a person or a filter has dealt with it, if the account sent it itself (see
// whyNotRung), or if it has rung before in another place. Push decides on old mail. The first look
// at a folder sets its cursor and rings nothing. Mail that rang and was then read or removed
// elsewhere is cleared.
//
// What is found goes to the store through [registry.Mail]. What went wrong is a [Failure], with a
// code for programs and a reason for people.
//
// Package wire has the connection itself, package message reads what a mail says, and package
// discover finds the settings of an address.
package watcher
