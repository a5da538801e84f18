package message_test

import (
	"fmt"
	"time"

	"idlepush/watcher/message"
)

func ExampleDescribe() {
	header := "From: =?iso-8859-1?Q?J=FCrgen?= <juergen@example.org>\r\n" +
		"Subject: =?utf-8?B?R3LDvMOfZQ==?= from the\r\n\tlake\r\n" +
		"Message-ID: <1@example.org>\r\n" +
		"Content-Type: text/html; charset=utf-8\r\n\r\n"
	text := "<p>The water is <b>still</b> warm.</p>"

	d := message.Describe([]byte(header), []byte(text))
	fmt.Printf("%s <%s>\n%s\n%s\n%s\n", d.From, d.Address, d.Subject, d.Preview, d.MessageID)
	// Output:
	// Jürgen <juergen@example.org>
	// Grüße from the lake
	// The water is still warm.
	// 1@example.org
}

func ExampleDescription_ReadParts() {
	picture := message.Part{Header: []byte("Content-Type: image/png\r\n\r\n"), Text: []byte("\x89PNG")}
	words := message.Part{Header: []byte("Content-Type: text/plain\r\n\r\n"), Text: []byte("See the picture.\r\n-- \r\nBerta")}

	var d message.Description
	d.ReadParts(picture, words)
	fmt.Println(d.Preview)
	// Output: See the picture.
}

// The same mail has the same fingerprint in every folder, although its UID is another there.
func ExampleFingerprint() {
	inbox := []byte("Message-ID: <1@example.org>\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\n\r\n")
	archive := []byte("Date: Sat, 28 Nov 2026 10:00:00 +0000\r\nReceived: by mx.example.org\r\nMessage-ID: <1@example.org>\r\n\r\n")

	fmt.Println(message.Fingerprint(inbox, 2048, time.Time{}) == message.Fingerprint(archive, 2100, time.Time{}))
	// Output: true
}
