package message

import "strings"

// setOf returns the words of a text as a set.
func setOf(words string) map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// codeStems are in each word for a code.
var codeStems = []string{"code", "digo", "clave", "otp", "tan", "pin", "pass", "kennwort", "contrase"}

// Words of oneTimeCode, in small letters and without accents.
var (
	// Words for a one-time code.
	oneTimeWords = setOf(`otp totp tan mtan smstan sms-tan einmalpasswort einmalkennwort einmal-passwort einmal-kennwort
		einmalpin`)
	// What goes before "code" in one word.
	compounds = setOf(`bestatigungs bestatigung sicherheits verifizierungs verifikations verification security einmal
		anmelde login log-in sign-in zugangs zugriffs access aktivierungs freischalt authentifizierungs registrierungs
		pruf sms tan auth otp 2fa pin`)
	// What makes a code one for a single use.
	qualifiers = setOf(`verification security login log-in sign-in signin sign log authentication authenticator auth one-time
		onetime temporary single-use 2fa two-factor two-step otp sms access verifizierung anmeldung verification securite connexion
		authentification unique acces d'acces validation verificacion seguridad acceso autenticacion uso sesion`)
	passwords = setOf("password passwort kennwort passe contrasena")
	onces     = setOf("one-time once single-use onetime time einmalig einmaliges unique uso temporary temporares")
	// Words that also show that a mail is about a sign-in: it tells people not to share the code,
	// or how long it is valid.
	signInWords = setOf(`verify verification verifying sign signing log login sign-in log-in expire expires expiring valid share
		sharing confirm identity password authentication continue anmelden anmeldung einloggen verifizieren gultig gilt ablauft
		weitergeben weiter teilen bestatigen bestatige identitat passwort connecter connectez connexion expire valable partagez
		communiquez identite confirmez verificar verificacion caduca comparta compartas sesion identidad iniciar contrasena
		confirma security sicherheit securite seguridad`)
	// What makes "code" a code of another kind.
	otherCodes = setOf(`discount promo promotion promotional promotionnel promocional coupon voucher gift zip postal post area
		country dialing source error fehler status qr bar barcode tracking booking reservation reference referral referenz
		dress exit http response product item color colour sort swift bank branch tax vat invite invitation conduct conduite
		conducta review coverage smells smell descuento reduction remise barras barre barres suivi seguimiento reserva cadeau
		regalo parrainage morse genetic building civil penal travail insee ape naf client cliente iban vs visual aktions rabatt
		gutschein palabra card karten license licence lizenz serial wifi order article short membership guichet agence
		transaction approval`)
	// After one of these words no number is a code: "order 482913".
	besideNumbers = setOf(`€ $ £ chf eur usd gbp # nr no n° nº num numero number nummer endung ending order bestellung
		bestellnummer auftrag commande pedido rechnung invoice facture factura ticket case ref reference referenz kundennummer
		customer account konto compte cuenta tel telefon telefono telephone phone mobile fax call rufen anrufen appelez llame
		© copyright room zimmer rue street plz po box postfach port build version article january february march april may
		june july august september october november december januar februar marz mai juni juli oktober dezember janvier
		fevrier mars avril juin juillet aout septembre octobre novembre decembre enero febrero marzo abril mayo junio julio
		agosto septiembre octubre noviembre diciembre jan feb mar apr jun jul aug sep oct okt nov dec dez flight flug vol
		vuelo`)
	// Before one of these words no number is a code: "4829 points".
	units = setOf(`€ $ £ chf eur euro euros usd dollar dollars gbp pounds % percent prozent second seconds sekunden secondes
		segundos minute minutes minuten minutos hour hours stunden heures horas day days tage tagen jours dias week weeks
		wochen semaines semanas km m kg g mb gb kb kwh people personen points punkte puntos lines zeilen lignes lineas views
		times january february march april may june july august september october november december januar februar marz mai
		juni juli oktober dezember janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre enero
		febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre uhr street st avenue ave road rd
		reasons`)
	// Words of a shop, whose codes are for a discount, and of a meeting that is joined by a code.
	sales = setOf(`off save saving savings sale sales discount checkout coupon voucher offer offers shop shopping rabatt sparen
		sparst spare angebot angebote gutschein einkauf kasse warenkorb aktion reduction remise soldes promo promotion offre
		panier achat achats descuento oferta ofertas rebajas ahorra ahorre compra compras meeting webinar besprechungs-id
		konferenz-id reunion`)
	// What stands between a code and the word for it.
	leads = setOf("is ist lautet est es sera as als comme como")
	// What points to a code on a line of its own.
	pointers = setOf(`following below this here folgenden folgende untenstehenden diesen dieser unten hier suivant ci-dessous ce
		voici siguiente este abajo aqui`)
)
