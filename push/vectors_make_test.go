package push_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
)

// The keys of RFC 8291 appendix A.
var (
	rfcDevice = vectorDevice{
		PrivateKey: "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
		P256dh:     "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
		Auth:       "BTBZMqHH6r4Tts7J_aSIgg",
	}
	rfcSender = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
)

// headerSize is the size of the header before the record: salt, record size, length, and the
// sender's point.
const headerSize = 16 + 4 + 1 + 65

// workshop makes vectors. It encrypts by the RFCs, without code of package push, because it must
// also make messages that the server never sends.
type workshop struct {
	*testing.T
	vectors map[string]vector
}

// saltOf returns a salt of its own for each vector, the same in each run.
func saltOf(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:16]
}

// seal returns a body with these records for the device. Records have a delimiter and padding
// already. The record size is 4096.
func (w *workshop) seal(salt []byte, records ...[]byte) []byte {
	w.Helper()
	sender, err := ecdh.P256().NewPrivateKey(unbase64url(w.T, rfcSender))
	fatal(w, err)
	device, err := ecdh.P256().NewPublicKey(unbase64url(w.T, rfcDevice.P256dh))
	fatal(w, err)
	shared, err := sender.ECDH(device)
	fatal(w, err)
	derive := func(secret, salt []byte, info string, size int) []byte {
		key, err := hkdf.Key(sha256.New, secret, salt, info, size)
		fatal(w, err)
		return key
	}
	ikm := derive(shared, unbase64url(w.T, rfcDevice.Auth), "WebPush: info\x00"+string(device.Bytes())+string(sender.PublicKey().Bytes()), 32)
	block, err := aes.NewCipher(derive(ikm, salt, "Content-Encoding: aes128gcm\x00", 16))
	fatal(w, err)
	aead, err := cipher.NewGCM(block)
	fatal(w, err)
	nonce := derive(ikm, salt, "Content-Encoding: nonce\x00", 12)
	body := slices.Concat(salt, []byte{0, 0, 16, 0, 65}, sender.PublicKey().Bytes())
	for i, record := range records {
		nonce[11] ^= byte(i) // RFC 8188 section 2.3; there are at most two
		body = aead.Seal(body, nonce, record, nil)
	}
	return body
}

// padded returns a plaintext with its delimiter and zeros up to the next multiple of 256 bytes.
func padded(plaintext string) []byte {
	record := make([]byte, (len(plaintext)/256+1)*256)
	copy(record, plaintext+"\x02")
	return record
}

func sized(body []byte, size uint32) []byte {
	binary.BigEndian.PutUint32(body[16:], size)
	return body
}

func encode(body []byte) string { return base64.RawURLEncoding.EncodeToString(body) }

func (w *workshop) add(name string, v vector) {
	w.Helper()
	if v.Device == (vectorDevice{}) {
		v.Device = rfcDevice
	}
	if _, twice := w.vectors[name]; twice {
		w.Fatalf("%s is there twice", name)
	}
	w.vectors[name] = v
}

// sent adds a message that the server sends.
func (w *workshop) sent(name, about string, plaintext []byte) {
	w.Helper()
	salt, text := saltOf(name), string(plaintext)
	w.add("opens-"+name, vector{About: about, Sender: &vectorSender{rfcSender, encode(salt)}, Encrypted: encode(w.seal(salt, padded(text)[:min(3994, len(padded(text)))])),
		Expect: expectation{Plaintext: &text}})
}

// opens adds a valid message that the server does not send.
func (w *workshop) opens(name, about string, body []byte, plaintext string) {
	w.Helper()
	w.add("opens-"+name, vector{About: about, Encrypted: encode(body), Expect: expectation{Plaintext: &plaintext}})
}

// fails adds a message that must be refused.
func (w *workshop) fails(name, about string, failure pushtest.Failure, body []byte) {
	w.Helper()
	w.add("fails-"+name, vector{About: about, Encrypted: encode(body), Expect: expectation{Failure: failure}})
}

// either adds a message that an app may refuse or read.
func (w *workshop) either(name, about string, failure pushtest.Failure, encrypted, plaintext string) {
	w.Helper()
	w.add("either-"+name, vector{About: about, Encrypted: encrypted, Expect: expectation{&plaintext, failure}})
}

// short is the plaintext of all vectors except those of kinds.
const short = `{"v":1,"kind":"test","id":"8TXaOFjHY-Z797MqnxQOif4SFk8Xx4Tg","at":"2026-03-01T12:00:00Z","title":"idlepush"}`

// changed returns a valid body with one byte changed.
func (w *workshop) changed(name string, at int) []byte {
	w.Helper()
	body := w.seal(saltOf(name), padded(short))
	if at < 0 {
		at += len(body)
	}
	body[at] ^= 1
	return body
}

func makeVectors(t *testing.T) map[string]vector {
	t.Helper()
	w := &workshop{t, make(map[string]vector)}
	w.kinds()
	w.shapes()
	w.keys()
	w.cuts()
	w.changes()
	w.sizes()
	w.padding()
	w.texts()
	return w.vectors
}

// kinds adds the payloads of each kind at each level.
func (w *workshop) kinds() {
	for _, one := range []struct {
		kind  idlepush.Kind
		level idlepush.Level
	}{{idlepush.KindMail, idlepush.LevelWake}, {idlepush.KindMail, idlepush.LevelPreview}, {idlepush.KindSummary, idlepush.LevelSubject},
		{idlepush.KindClear, idlepush.LevelSubject}, {idlepush.KindAttention, idlepush.LevelSubject}, {idlepush.KindTest, idlepush.LevelSubject}} {
		m := push.Render(pushtest.Work(one.kind, idlepush.Device{Content: one.level}), "https://push.example.org/", pushtest.Sentences)
		w.sent(string(one.kind)+"-"+string(one.level), "Kind "+string(one.kind)+" at the level "+string(one.level)+".", m.Payload)
	}
	strange := pushtest.Work(idlepush.KindMail, idlepush.Device{Content: idlepush.LevelPreview})
	strange.Notification.Content = idlepush.Content{From: "Grüße 𝄞", Subject: `"quoted" \ <&> é`, Preview: "日本語"}
	w.sent("mail-beyond-ascii", "Text beyond ASCII, in UTF-8.", push.Render(strange, "https://push.example.org/", pushtest.Sentences).Payload)
	w.sent("largest", "The most that one record of 4096 bytes holds: a plaintext of 3993 bytes.", []byte(`"`+strings.Repeat("x", 3991)+`"`))
	w.sent("padded-by-one", "A plaintext of 255 bytes has the delimiter and no zero after it.", []byte(`"`+strings.Repeat("x", 253)+`"`))
	w.sent("padded-by-256", "A plaintext of 256 bytes has the delimiter and 255 zeros after it.", []byte(`"`+strings.Repeat("x", 254)+`"`))
}

// shapes adds messages that are valid by the RFCs but are not sent by the server.
func (w *workshop) shapes() {
	record := padded(short)
	w.opens("no-padding", "The delimiter and no zeros: padding is no duty.", w.seal(saltOf("no-padding"), []byte(short+"\x02")), short)
	w.opens("odd-padding", "7 zeros: padding need not come to a multiple of anything.", w.seal(saltOf("odd-padding"), []byte(short+"\x02"+strings.Repeat("\x00", 7))), short)
	w.opens("empty", "Nothing but the delimiter: an empty plaintext.", w.seal(saltOf("empty"), []byte{2}), "")
	w.opens("record-size-of-4-gb", "A record size of 4294967295, which no signed number of 32 bits holds: the last record may be shorter.",
		sized(w.seal(saltOf("record-size-of-4-gb"), record), 1<<32-1), short)
	w.opens("record-size-just-enough", "A record size of one byte more than the record.",
		sized(w.seal(saltOf("record-size-just-enough"), record), uint32(len(record)+16+1)), short)
	w.opens("record-size-exact", "A record size of just the bytes of the record, as RFC 8188 allows.",
		sized(w.seal(saltOf("record-size-exact"), record), uint32(len(record)+16)), short)
}

// keys adds messages with wrong keys.
func (w *workshop) keys() {
	private, err := ecdh.P256().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	fatal(w, err)
	wrong := func(name, about string, d vectorDevice) {
		w.fails(name, about, pushtest.BadTag, w.seal(saltOf(name), padded(short)))
		v := w.vectors["fails-"+name]
		v.Device = d
		w.vectors["fails-"+name] = v
	}
	wrong("wrong-key", "Encrypted to another key pair than the device has, such as one before its last registration.",
		vectorDevice{encode(private.Bytes()), encode(private.PublicKey().Bytes()), rfcDevice.Auth})
	wrong("wrong-auth", "Encrypted with another auth than the device has.",
		vectorDevice{rfcDevice.PrivateKey, rfcDevice.P256dh, encode(bytes.Repeat([]byte{7}, 16))})
	body := w.seal(saltOf("wrong-sender"), padded(short))
	copy(body[21:], private.PublicKey().Bytes())
	w.fails("wrong-sender", "The sender's point is a good one, and not the one that it was encrypted with.", pushtest.BadTag, body)
}

// cuts adds messages from which something is missing, and one with something more.
func (w *workshop) cuts() {
	cut := func(name, about string, failure pushtest.Failure, size int) {
		body := w.seal(saltOf(name), padded(short))
		if size < 0 {
			size += len(body)
		}
		w.fails(name, about, failure, body[:size])
	}
	cut("cut-to-nothing", "Nothing is left.", pushtest.BadLength, 0)
	cut("cut-in-salt", "10 bytes are left: less than the salt.", pushtest.BadLength, 10)
	cut("cut-in-record-size", "18 bytes are left: half of the record size.", pushtest.BadLength, 18)
	cut("cut-in-key-id", "60 bytes are left: a part of the sender's point.", pushtest.BadLength, 60)
	cut("cut-after-header", "The header alone is left.", pushtest.BadLength, headerSize)
	cut("cut-in-first-bytes", "The header and 16 bytes are left: no room for a delimiter and a tag.", pushtest.BadLength, headerSize+16)
	cut("cut-in-record", "Half of the record is left.", pushtest.BadTag, headerSize+136)
	cut("cut-before-tag", "The tag is missing.", pushtest.BadTag, -16)
	cut("cut-in-tag", "The last byte is missing.", pushtest.BadTag, -1)
	w.fails("one-byte-more", "One byte follows the tag.", pushtest.BadTag, append(w.seal(saltOf("one-byte-more"), padded(short)), 0))
}

// changes adds messages with one byte changed.
func (w *workshop) changes() {
	change := func(name, about string, failure pushtest.Failure, at int) {
		w.fails(name, about, failure, w.changed(name, at))
	}
	change("changed-salt", "The first byte of the salt is another.", pushtest.BadTag, 0)
	change("changed-key-id-length", "The length of the key id says 64.", pushtest.BadKeyID, 20)
	change("changed-point-form", "The sender's point begins with 5, which is no form of a point.", pushtest.BadPoint, 21)
	change("changed-point", "The last byte of the sender's point is another, so it is not on the curve.", pushtest.BadPoint, headerSize-1)
	change("changed-record-start", "The first byte of the record is another.", pushtest.BadTag, headerSize)
	change("changed-record-end", "The last byte of the record before the tag is another.", pushtest.BadTag, -17)
	change("changed-tag-start", "The first byte of the tag is another.", pushtest.BadTag, -16)
	change("changed-tag-end", "The last byte of the tag is another.", pushtest.BadTag, -1)
	w.opens("changed-record-size", "The record size says 69632 where it was 4096. It is not authenticated, and still enough: this opens.", w.changed("changed-record-size", 17), short)

	body := w.seal(saltOf("zero-point"), padded(short))
	clear(body[21:headerSize])
	w.fails("zero-point", "The sender's point is 65 zeros.", pushtest.BadPoint, body)
	body = w.seal(saltOf("hybrid-point"), padded(short))
	body[21] = 6 | body[headerSize-1]&1
	w.fails("hybrid-point", "The sender's point is in the hybrid form of X9.62, which begins with 6 or 7.", pushtest.BadPoint, body)
	body = w.seal(saltOf("key-id-empty"), padded(short))
	w.fails("key-id-empty", "A key id of no bytes: there is no sender's point.", pushtest.BadKeyID, slices.Concat(body[:20], []byte{0}, body[headerSize:]))
	body = w.seal(saltOf("key-id-compressed"), padded(short))
	w.fails("key-id-compressed", "A key id of 33 bytes: the sender's point in compressed form.", pushtest.BadKeyID,
		slices.Concat(body[:20], []byte{33, 2 | body[headerSize-1]&1}, body[22:22+32], body[headerSize:]))
}

// sizes adds messages with wrong record sizes or several records. RFC 8291 lets a receiver ignore
// the record size. docs/apps.md does not.
func (w *workshop) sizes() {
	record := padded(short)
	size := func(name, about string, size uint32) {
		w.fails(name, about, pushtest.BadRecordSize, sized(w.seal(saltOf(name), record), size))
	}
	size("record-size-0", "A record size of 0.", 0)
	w.fails("record-size-17", "A record size of 17, and so many bytes of record. RFC 8188 allows none below 18: a byte, the delimiter and the tag.",
		pushtest.BadRecordSize, sized(w.seal(saltOf("record-size-17"), []byte{2}), 17))
	size("record-size-too-small", "A record size of one byte less than the record: by it, the last byte would be a second record.", uint32(len(record)+16-1))
	w.fails("record-after-the-last", "Two records, of which the first says that it is the last (2).", pushtest.BadRecordSize,
		sized(w.seal(saltOf("record-after-the-last"), record, []byte("{}\x02")), uint32(len(record)+16)))
	half := len(short) / 2
	body := sized(w.seal(saltOf("two-records"), []byte(short[:half]+"\x01"), []byte(short[half:]+"\x02")), uint32(half+1+16))
	w.either("two-records", "Two records as RFC 8188 has them. RFC 8291 knows only one, and the server sends only one.", pushtest.BadRecordSize, encode(body), short)
}

// padding adds messages with a valid tag and an invalid delimiter.
func (w *workshop) padding() {
	pad := func(name, about, record string) {
		w.fails(name, about, pushtest.BadPadding, w.seal(saltOf(name), []byte(record)))
	}
	zeros := strings.Repeat("\x00", 100)
	pad("delimiter-1", "The delimiter is 1: another record was to follow, so the message is cut.", short+"\x01"+zeros)
	pad("delimiter-3", "The delimiter is 3.", short+"\x03"+zeros)
	pad("no-delimiter", "The plaintext, and no delimiter.", short)
	pad("no-delimiter-zeros", "The plaintext and zeros, and no delimiter.", short+zeros)
	pad("only-zeros", "Only zeros: neither a plaintext nor a delimiter.", zeros)
	pad("padding-not-zero", "After the delimiter is a byte that is not 0.", short+"\x02"+zeros+"\x07")
	w.fails("empty-record", "The record is empty: a tag, and no delimiter before it.", pushtest.BadLength, w.seal(saltOf("empty-record"), nil))
}

// texts adds valid bytes in a base64 that the server does not use.
func (w *workshop) texts() {
	body := func(name string) []byte { return w.seal(saltOf(name), padded(short)) }
	w.either("base64-padded", "base64url with padding.", pushtest.BadBase64, base64.URLEncoding.EncodeToString(body("base64-padded")), short)
	w.either("base64-standard", "base64 with + and / in place of - and _.", pushtest.BadBase64, base64.RawStdEncoding.EncodeToString(body("base64-standard")), short)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	spare := []byte(encode(body("base64-spare-bits")))
	spare[len(spare)-1] = alphabet[strings.IndexByte(alphabet, spare[len(spare)-1])+1]
	w.either("base64-spare-bits", "base64url whose last character has a bit set that belongs to no byte.", pushtest.BadBase64, string(spare), short)
	wrapped := encode(body("base64-wrapped"))
	w.either("base64-wrapped", "base64url with a line break after 64 characters.", pushtest.BadBase64, wrapped[:64]+"\n"+wrapped[64:], short)
	cut := encode(body("base64-cut"))
	w.add("fails-base64-cut", vector{About: "base64url of 4n + 1 characters, which no bytes have: the last one is missing.", Encrypted: cut[:len(cut)-1], Expect: expectation{Failure: pushtest.BadBase64}})
	w.add("fails-no-base64", vector{About: "JSON in the clear in place of base64url.", Encrypted: short, Expect: expectation{Failure: pushtest.BadBase64}})
}
