package push_test

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
)

// vector is one file of docs/testdata/vectors, for authors of apps to test a decryption.
type vector struct {
	About     string        `json:"about"`
	Device    vectorDevice  `json:"device"`
	Sender    *vectorSender `json:"sender,omitempty"` // with it the server makes the same bytes
	Encrypted string        `json:"encrypted"`
	Expect    expectation   `json:"expect"`
}

type vectorDevice struct {
	PrivateKey string `json:"private_key"`
	P256dh     string `json:"p256dh"`
	Auth       string `json:"auth"`
}

type vectorSender struct {
	PrivateKey string `json:"private_key"`
	Salt       string `json:"salt"`
}

// expectation is the result that a vector must have. With both fields, either is right.
type expectation struct {
	Plaintext *string          `json:"plaintext,omitempty"`
	Failure   pushtest.Failure `json:"failure,omitempty"`
}

const vectorFolder = "../docs/testdata/vectors"

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unbase64url(t *testing.T, text string) []byte {
	t.Helper()
	value, err := base64.RawURLEncoding.Strict().DecodeString(text)
	fatal(t, err)
	return value
}

// receiver returns the device of a vector.
func (v vector) receiver(t *testing.T) *pushtest.Receiver {
	t.Helper()
	private, err := ecdh.P256().NewPrivateKey(unbase64url(t, v.Device.PrivateKey))
	fatal(t, err)
	return pushtest.ReceiverOf(private, unbase64url(t, v.Device.Auth))
}

// file returns the file of a vector.
func (v vector) file(t *testing.T) []byte {
	t.Helper()
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	fatal(t, e.Encode(v))
	return text.Bytes()
}

func TestVectors(t *testing.T) {
	t.Run("the files are those that this test makes", vectorsFiles)
	t.Run("a receiver opens or refuses each as it says", vectorsResults)
}

// There must be no other file, and each must have exactly the bytes that this test makes.
func vectorsFiles(t *testing.T) {
	want := makeVectors(t)
	if *push.UpdateGolden {
		fatal(t, os.RemoveAll(vectorFolder))
		fatal(t, os.MkdirAll(vectorFolder, 0o755))
		for name, v := range want {
			fatal(t, os.WriteFile(filepath.Join(vectorFolder, name+".json"), v.file(t), 0o644))
		}
	}
	files, err := os.ReadDir(vectorFolder)
	fatal(t, err)
	if len(files) != len(want) {
		t.Errorf("%d files for %d vectors", len(files), len(want))
	}
	for name, v := range want {
		text, err := os.ReadFile(filepath.Join(vectorFolder, name+".json"))
		fatal(t, err)
		if !bytes.Equal(text, v.file(t)) {
			t.Errorf("%s is now\n%s", name, v.file(t))
		}
	}
}

// The stand-ins' decryption shares no code with the encryption that made the files.
func vectorsResults(t *testing.T) {
	page, err := os.ReadFile("../docs/apps.md")
	fatal(t, err)
	files, err := filepath.Glob(vectorFolder + "/*.json")
	fatal(t, err)
	if len(files) < 60 {
		t.Fatalf("%d files", len(files))
	}
	for _, words := range []string{"at least 17 bytes, and no more than the record size, which is at least 18", "fewer bytes than header, delimiter and tag take: 103"} {
		if !bytes.Contains(page, []byte(words)) {
			t.Errorf("docs/apps.md no longer says %q", words)
		}
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		fatal(t, err)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			var v vector
			d := json.NewDecoder(bytes.NewReader(text))
			d.DisallowUnknownFields()
			fatal(t, d.Decode(&v))
			r := v.receiver(t)
			if r.Keys() != (idlepush.Keys{P256dh: v.Device.P256dh, Auth: v.Device.Auth}) {
				t.Error("p256dh is not the public key of private_key")
			}
			got, err := r.Open(v.Encrypted)
			switch {
			case v.Expect.Failure == "":
				if err != nil || string(got) != *v.Expect.Plaintext {
					t.Errorf("read as %q, %v", got, err)
				}
			case !errors.Is(err, v.Expect.Failure) || got != nil:
				t.Errorf("read as %q, %v; want the failure %q", got, err, v.Expect.Failure)
			}
			if f := v.Expect.Failure; f != "" && !bytes.Contains(page, []byte("`"+f+"`")) {
				t.Errorf("docs/apps.md does not tell of the failure %q", f)
			}
			if v.Sender != nil {
				sender, err := ecdh.P256().NewPrivateKey(unbase64url(t, v.Sender.PrivateKey))
				fatal(t, err)
				sent, err := push.SealWith([]byte(*v.Expect.Plaintext), r.Keys(), unbase64url(t, v.Sender.Salt), sender)
				fatal(t, err)
				if base64.RawURLEncoding.EncodeToString(sent) != v.Encrypted {
					t.Error("the server sends other bytes")
				}
			}
		})
	}
}
