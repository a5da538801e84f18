package message

import (
	"fmt"
	"strings"
	"testing"
)

// TestOneTimeCode reads codes of mails as services send them.
func TestOneTimeCode(t *testing.T) {
	for _, test := range []struct{ subject, text, want string }{
		// English
		{"Your verification code", "Hello Ann,\n\n482913\n\nThis code expires in 10 minutes.\n", "482913"},
		{"482913 is your Example code", "Do not share it.", "482913"},
		{"Sign in to Example", "Your login code is 4829. It expires in 15 minutes.", "4829"},
		{"Confirm your address", "Enter this code to continue: 48291307", "48291307"},
		{"Sign-in attempt", "Use 482913 as your verification code.", "482913"},
		{"Your one-time password", "Your one-time password (OTP): 482913\nValid for 300 seconds.", "482913"},
		{"Example security", "Your security code is: 482 913", "482913"},
		{"Example security", "Your security code is: 482-913", "482913"},
		{"Example", "G-482913 is your Google verification code.", "482913"},
		{"Example", "FB-48291 is your Example confirmation code.", "48291"},
		{"Example sign-in", "Your One Time Password (OTP) for the sign-in is:\n\n482913\n\nDo not share it.", "482913"},
		{"Example", "Please use this verification code to complete your sign in: 482913", "482913"},
		{"Your single-use code", "Your single-use code is: 4829137", "4829137"},
		{"Log in to Example", "Here is your code:\n\nR4K7C\n\nIt is valid once.", "R4K7C"},
		{"Device login", "Your device code: WDJB-7HT2", "WDJB7HT2"},
		{"New sign-in", "We noticed a new sign-in on 28 November 2026 at 14:32.\nIf this was you, enter the verification code below.\n\n\n   482913   \n\nCall 0800 123456 for help.", "482913"},
		{"[Example] Please verify your device", "Verification code: 482913\n\nIf you did not sign in, change your password within 30 minutes.", "482913"},
		{"PIN", "Your PIN is 4829. Do not share it.", "4829"},
		{"Passcode", "Your temporary passcode 482913 works until 18:30.", "482913"},
		{"Code 2026", "Enter it to sign in. Your code is: 2026", "2026"},
		{"Payment", "You pay $1,234.50 to Shop. Your authentication code is 482913.", "482913"},
		{"Two-factor", "482913\nis your 2FA code", "482913"},
		// German
		{"Ihr Bestätigungscode", "Guten Tag,\n\nIhr Bestätigungscode lautet: 482913\n\nEr gilt 10 Minuten.", "482913"},
		{"Anmeldung bei Beispiel", "Dein Code ist 482913.", "482913"},
		{"Sicherheitscode", "Bitte geben Sie den folgenden Sicherheitscode ein:\n482 913", "482913"},
		{"482913 ist dein Beispiel-Code", "Gib ihn niemandem weiter.", "482913"},
		{"Einmalpasswort", "Ihr Einmalpasswort: 48A913", "48A913"},
		{"mTAN", "Ihre TAN für die Überweisung von 1.234,56 EUR lautet 482913.", "482913"},
		{"Ihr Zugang", "Verwenden Sie 482913 als Einmal-Code, um sich anzumelden.", "482913"},
		// French
		{"Votre code de vérification", "Bonjour,\nvotre code de vérification est 482913.\nIl expire dans 10 minutes.", "482913"},
		{"Connexion", "Voici votre code à usage unique :\n\n4829\n", "4829"},
		{"Connexion", "Saisissez le code 482913 pour vous connecter.", "482913"},
		{"Connexion", "Votre mot de passe à usage unique : 482913", "482913"},
		{"482913 est votre code", "Ne le communiquez à personne.", "482913"},
		// Spanish
		{"Tu código de verificación", "Hola, Ana:\ntu código de verificación es 482913.\nCaduca en 10 minutos.", "482913"},
		{"Inicio de sesión", "Introduce este código: 482 913", "482913"},
		{"Clave", "Su clave de acceso es 48291307.", "48291307"},
		{"Acceso", "Contraseña de un solo uso: 482913", "482913"},
		{"482913 es tu código", "No lo compartas.", "482913"},
		// among other numbers, or in unusual forms
		{"Bank", "Your verification code for card ending in 1234: 482913", "482913"},
		{"Bank", "Ihre TAN für Auftrag 1234: 482913", "482913"},
		{"Sign in", "Your code:482913", "482913"},
		{"Sign in", "OTP:482913", "482913"},
		{"Sign in", "Your code: \u200e482913", "482913"},
		{"Sign in", "Your code is:\u200b482913", "482913"},
		{"Sign in", "Your verification code\n4\n8\n2\n9\n1\n3\n", "482913"},
		{"Sign in", "Your verification code is: 4 8 2 9 1 3", "482913"},
		{"Sign in to the Example Shop", "Your login code is R4K7CX.", "R4K7CX"},
	} {
		if got := linesOf(test.subject, test.text).oneTimeCode(); got != test.want {
			t.Errorf("%q, %q: the code is %q, want %q", test.subject, test.text, got, test.want)
		}
	}
}

// TestNoOneTimeCode reads mails whose numbers are no codes.
func TestNoOneTimeCode(t *testing.T) {
	for _, text := range []string{
		"Dinner at 2026 Main Street?",
		"Your order 482913 has been shipped.",
		"Rechnung Nr. 482913 vom 28.11.2026 über 1234 EUR",
		"Use the discount code SAVE2026 by Sunday.",
		"Use code SAVE20 for 20% off your next order.",
		"USE CODE\n\nSAVE20\n\nAT CHECKOUT",
		"Mit dem Code HERBST26 sparst du 10 %.",
		"Avec le code NOEL26, remise de 10 %.",
		"Usa el código AHORRA20 en tu compra.",
		"Gift card code: X4T7-QK29",
		"Join the call\nMeeting ID: 482 9137 5566\nPasscode: 482913",
		"Besprechungs-ID: 482 913 755\nPasscode: X4T7QK",
		"Your promo code: WINTER26",
		"Gutscheincode: XMAS2026",
		"Code promo : NOEL2026",
		"Tu código de descuento es AHORRA20",
		"Our zip code is 94105.",
		"Code postal 75011 Paris",
		"The code of conduct 2026 is out.",
		"Code review of 482913 lines",
		"Error code 50041 in the log",
		"Fehlercode: 50041",
		"Tracking code: 48291307",
		"Booking code: X4T7QK",
		"The country code is 0049.",
		"Call 0800 1234567 with your code.",
		"Your code is on its way. Call 555-0123 for help.",
		"Ring +49 30 123456 and say the code.",
		"The code costs € 4829.",
		"The code costs 4829 €.",
		"The verification takes 3600 seconds.",
		"Your code expires on 2026-11-28.",
		"Your code expires on 28.11.2026 at 14:30.",
		"Your code expires on 28 November 2026.",
		"The code was written in 1984 by Ann.",
		"© 2026 Example. Do not share your code.",
		"Conference 2026: code, coffee, cake",
		"Build 482913 passed.",
		"Temperature sensor 4829: battery low",
		"Your meter reading of 48291 kWh is in.",
		"See https://example.org/code/482913 for the code.",
		"ann482913@example.org sent you a code.",
		"I have 12345 reasons to write code.",
		"Your code is 123.",
		"Your code is 123456789.",
		"Your code is 4829 1307 5566.",
		"Your code is ABCDEF.",
		"",
		"Palabra clave del mes: 4829 visitas",
		"Your Pin got 1234 views this week",
		"Ann saved your Pin to a board with 4829 Pins",
		"Code coverage is 8234 lines",
		"Code smells: 1234",
		"Your code was deployed in build 482913",
		"[owner/repo] Fix code 4829 (#1234)",
		"Le code du travail, article 1234",
		"Your code was sent to the number ending in 4829",
		"Der Code wurde an die Nummer mit der Endung 4829 gesendet",
		"Your login code was requested from IP 10.0.0.1 port 48291",
		"Show the code at the shop until 20261130",
		"Enter the code by 28 Nov 2026 1430",
		"Fragen zum Code: 0800 4829",
		"Your verification code has been sent to\n5550123",
		"We never ask for your PIN.\nExample GmbH\nHauptstr. 1\n10115\nBerlin",
		"Verification code\nCustomer number:\n48291307",
		"Your verification code is on its way.\nOrder\n482913",
		"Code\nItem\nPrice\n482913\nWidget\n12.00",
		"Use code 48291 for $10 off",
		"Order code: 4829130",
		"Apply code HELLO20",
		"Post code\n12345",
		"Code client : 123456",
		"Code APE : 6201Z",
		"Código cliente: 123456",
		"Confirmation code: X4T7QK\nFlight XY 123, Berlin to Madrid",
		"Fehler-Code 50041",
	} {
		for _, both := range [][2]string{{"", text}, {text, ""}, {"Hello", "Dear Ann,\n\n" + text + "\n\nRegards\n"}} {
			if got := linesOf(both[0], both[1]).oneTimeCode(); got != "" {
				t.Errorf("subject %q, text %q: the code is %q, want none", both[0], both[1], got)
			}
		}
	}
}

// TestOneTimeCodeOfHTML reads the code of a mail in HTML, where a table sets it apart.
func TestOneTimeCodeOfHTML(t *testing.T) {
	header := "From: Example <no-reply@example.org>\r\nSubject: Sign in\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
	text := "<html><head><style>p{margin:123456px}</style></head><body><p>Hello Ann,</p><p>use this verification code:</p><table><tr><td><b>482913</b></td></tr></table><p>Order 739201 stays open.</p></body></html>"
	if d := Describe([]byte(header), []byte(text)); d.Code != "482913" {
		t.Errorf("the code is %q", d.Code)
	}
}

// TestOneTimeCodeOfParts reads the code that only stands beyond the beginning of the message.
func TestOneTimeCodeOfParts(t *testing.T) {
	d := Description{Subject: "Your code"}
	d.ReadParts(Part{[]byte("Content-Type: text/html\r\n\r\n"), fmt.Appendf(nil, "<style>%s</style><p>Hello</p><p>Your login code is 482913</p>", strings.Repeat("a{}", 2000))})
	if d.Code != "482913" {
		t.Errorf("the code is %q", d.Code)
	}
}

// TestOneTimeCodeBehindWords reads a mail in HTML whose first words come early and whose code late.
func TestOneTimeCodeBehindWords(t *testing.T) {
	header := "From: Example <no-reply@example.org>\r\nSubject: Your login code\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
	text := "<html><body><div style='display:none'>Your login code for Example</div>" + strings.Repeat("<table role='presentation' width='100%' cellpadding='0'><tr><td>", 80) + "<p>482913</p></body></html>"
	d := Describe([]byte(header), []byte(text[:textBytes]))
	if d.Code == "" && d.Wanting {
		d.ReadParts(Part{[]byte("Content-Type: text/html; charset=utf-8\r\n\r\n"), []byte(text)})
	}
	if d.Code != "482913" {
		t.Errorf("the code is %q; the rest is read: %v", d.Code, d.Wanting)
	}
}

func BenchmarkOneTimeCode(b *testing.B) {
	text := strings.Repeat("In 2026 the code of 4829 people, 12 offers and 739201 orders.\n", textBytes/60)
	for b.Loop() {
		linesOf("Your order 739201", text).oneTimeCode()
	}
}
