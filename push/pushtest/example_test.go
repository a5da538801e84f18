package pushtest_test

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"idlepush/push"
	"idlepush/push/pushtest"
)

// A receiver opens a text that push has encrypted for its device.
func ExampleReceiver_Decrypt() {
	phone, err := pushtest.NewReceiver()
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := push.Encrypt([]byte(`{"v":1,"kind":"test"}`), phone.Keys())
	if err != nil {
		log.Fatal(err)
	}
	opened, err := phone.Decrypt(sealed)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", opened)
	// Output: {"v":1,"kind":"test"}
}

// The vectors for apps are files with the keys of a device and a text as FCM and APNs deliver it.
func ExampleReceiver_Open() {
	var vector struct {
		Device struct {
			PrivateKey string `json:"private_key"`
			Auth       string
		}
		Encrypted string
		Expect    struct{ Plaintext string }
	}
	file, err := os.ReadFile("../../docs/testdata/vectors/opens-mail-preview.json")
	if err != nil {
		log.Fatal(err)
	}
	if err := json.Unmarshal(file, &vector); err != nil {
		log.Fatal(err)
	}
	scalar, err := base64.RawURLEncoding.DecodeString(vector.Device.PrivateKey)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := base64.RawURLEncoding.DecodeString(vector.Device.Auth)
	if err != nil {
		log.Fatal(err)
	}
	key, err := ecdh.P256().NewPrivateKey(scalar)
	if err != nil {
		log.Fatal(err)
	}
	opened, err := pushtest.ReceiverOf(key, auth).Open(vector.Encrypted)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(opened) == vector.Expect.Plaintext)
	// Output: true
}
