package pushtest

import (
	"crypto/ecdh"
	"encoding/base64"
	"testing"
)

func TestReceiver(t *testing.T) {
	// RFC 8291 section 5 and appendix A: the receiver's private key, its secret and the body.
	var decoded [3][]byte
	for i, text := range []string{
		"q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94", "BTBZMqHH6r4Tts7J_aSIgg",
		"DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz" +
			"AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
	} {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	private, err := ecdh.P256().NewPrivateKey(decoded[0])
	if err != nil {
		t.Fatal(err)
	}
	r := Receiver{private, decoded[1]}
	if got, err := r.Decrypt(decoded[2]); err != nil || string(got) != "When I grow up, I want to be a watermelon" {
		t.Errorf("got %q, %v", got, err)
	}
	for i := range decoded[2] {
		spoiled := append([]byte(nil), decoded[2]...)
		spoiled[i] ^= 1
		// The record size alone is not authenticated: it only bounds the record.
		if _, err := r.Decrypt(spoiled); err == nil && (i < 16 || i >= 20) {
			t.Errorf("read with byte %d spoiled", i)
		}
		if _, err := r.Decrypt(decoded[2][:i]); err == nil {
			t.Errorf("read after %d bytes", i)
		}
	}
}
