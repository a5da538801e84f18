package message

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// oneTimeCode returns the one-time code that a mail brings, without what divides its groups, or "".
// It has 4 to 8 digits, or as many letters and digits, and stands beside a word for it in English,
// German, French or Spanish. Prices, dates, years, times and phone numbers are none.
func oneTimeCode(subject, text string) string {
	lines := []string{subject}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && len(lines) < codeLines {
			lines = append(lines, line)
		}
	}
	if slices.ContainsFunc(lines, isMeeting) {
		return ""
	}
	best, most, seen := "", notBeside, 0
	for i := range lines {
		if !strings.ContainsFunc(lines[i], isDigit) {
			continue
		}
		line := splitLine(lines[i])
		for at := range line {
			c := candidateAt(line, at)
			if c.code == "" {
				continue
			}
			if seen++; seen > mostNumbers {
				return best
			}
			if b := c.beside(lines, i); b > most {
				best, most = c.code, b
			}
		}
	}
	return best
}

const (
	minCode     = 4   // characters of a code, without what divides its groups
	maxCode     = 8   // the same
	minGroup    = 3   // characters of a group, if there are several
	codeLines   = 200 // lines of a text that are searched
	mostNumbers = 50  // that may be codes and are looked at
	farthest    = 10  // fields between a code and a word for it on one line
	above       = 4   // lines between a code that stands alone and a word for it
)

// field is what stands between spaces.
type field struct {
	text  string // without the punctuation around it
	ends  bool   // it ends a sentence
	colon bool   // a colon, or a sign like one, follows
}

func splitLine(line string) (fields []field) {
	for word := range strings.FieldsSeq(line) {
		if plain := func(b byte) bool { return isDigit(rune(b)) || isLetter(rune(b)) }; plain(word[0]) && plain(word[len(word)-1]) {
			fields = append(fields, field{text: word})
			continue
		}
		const opening, closing = `"'([{<*«“„‘_¿¡>`, `.,;:!?"')]}>*»”“’_…`
		bare := strings.TrimLeft(word, opening)
		text := strings.TrimRight(bare, closing)
		after := bare[len(text):]
		f := field{text: text, colon: strings.Contains(after, ":"), ends: strings.ContainsAny(after, ".!?")}
		if text == "" && len(fields) > 0 {
			last := &fields[len(fields)-1]
			last.colon, last.ends = last.colon || f.colon, last.ends || f.ends
			continue
		}
		switch text {
		case "-", "–", "—", "=", "→", "|", "·", "•":
			f.colon = true
		}
		fields = append(fields, f)
	}
	return fields
}

// folded returns the text in small letters and without accents.
func (f field) folded() string {
	if !strings.ContainsFunc(f.text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return strings.ToLower(f.text)
	}
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(f.text)))
}

// candidate is what has the form of a code: some fields of a line.
type candidate struct {
	code     string
	line     []field
	from, to int
	letters  bool // it, or what stands before it, has letters
	year     bool // it may be a year
}

// candidateAt returns the candidate that begins at a field of the line. It has no code if none
// does.
func candidateAt(line []field, at int) candidate {
	to := at + 1
	if isNumber(line[at].text) {
		if at > 0 && isNumber(line[at-1].text) && !line[at-1].ends {
			return candidate{} // in the middle of a longer number
		}
		for to < len(line) && isNumber(line[to].text) && !line[to-1].ends && !line[to-1].colon {
			to++
		}
	}
	c := candidate{code: codeOf(line[at:to]), line: line, from: at, to: to}
	if c.code == "" || at > 0 && (besideNumbers[line[at-1].folded()]) || to < len(line) && !line[to-1].ends && units[line[to].folded()] {
		return candidate{}
	}
	c.letters = slices.ContainsFunc(line[at:to], func(f field) bool { return strings.ContainsFunc(f.text, isLetter) })
	c.year = len(c.code) == 4 && to == at+1 && (strings.HasPrefix(c.code, "19") || strings.HasPrefix(c.code, "20"))
	return c
}

// codeOf returns the code that the fields are, or "". Its groups have the same length.
func codeOf(fields []field) string {
	if len(fields) == 1 && !strings.ContainsFunc(fields[0].text, isDigit) {
		return ""
	}
	var groups []string
	for _, f := range fields {
		groups = append(groups, strings.Split(f.text, "-")...)
	}
	if len(groups) == 2 && len(groups[0]) <= 2 && isNumber(groups[1]) && !isNumber(groups[0]) { // G-482913
		groups = groups[1:]
	}
	code := strings.Join(groups, "")
	if len(code) < minCode || len(code) > maxCode || strings.ContainsFunc(code, func(r rune) bool { return !isDigit(r) && !isLetter(r) }) ||
		!strings.ContainsFunc(code, isDigit) {
		return ""
	}
	for _, g := range groups {
		if len(groups) > 1 && (len(g) != len(groups[0]) || len(g) < minGroup || strings.ContainsFunc(g, isLowerLetter)) {
			return ""
		}
	}
	return code
}

// beside is how surely a candidate stands beside a word for a code.
type beside int

const (
	notBeside  beside = iota
	near              // the word is in the same sentence
	introduced        // the word leads to it, or follows it: "Your code is", "is your code"
)

// beside judges the candidate of the i-th line.
func (c candidate) beside(lines []string, i int) beside {
	b := c.besideOnLine()
	if c.from == 0 && c.to == len(c.line) && b == notBeside {
		b = c.besideLines(lines, i)
	}
	if b == near && (c.letters || c.year) || (c.letters || c.year) && aboutSales(lines[max(0, i-above):min(len(lines), i+above)]) {
		return notBeside
	}
	return b
}

// aboutSales reports whether the lines have a word of a shop: its codes are for a discount, and have
// letters.
func aboutSales(lines []string) bool {
	for _, line := range lines {
		if slices.ContainsFunc(splitLine(line), func(f field) bool { return sales[f.folded()] || strings.HasSuffix(f.text, "%") }) {
			return true
		}
	}
	return false
}

func (c candidate) besideOnLine() beside {
	b := notBeside
	for k := c.from - 1; k >= 0 && c.from-k <= farthest; k-- {
		last := c.line[k]
		if last.ends && !last.colon {
			break
		}
		if !isCodeWord(c.line, k) {
			continue
		}
		b = near
		if before := c.line[c.from-1]; k == c.from-1 || before.colon || leads[before.folded()] {
			return introduced
		}
		break
	}
	if c.year || c.to == len(c.line) || !c.line[c.to-1].colon && !c.line[c.to].colon && !leads[c.line[c.to].folded()] {
		return b
	}
	for k := c.to; k < len(c.line) && k-c.to < farthest && !c.line[k-1].ends; k++ {
		if isCodeWord(c.line, k) {
			return introduced
		}
	}
	return b
}

// besideLines judges a candidate that is all of the i-th line.
func (c candidate) besideLines(lines []string, i int) beside {
	for n := 1; n <= above && i-n >= 0; n++ {
		line := splitLine(lines[i-n])
		for k := range line {
			if isCodeWord(line, k) {
				if line[len(line)-1].colon || !c.year {
					return introduced
				}
				return near
			}
		}
	}
	if i+1 < len(lines) && !c.year {
		line := splitLine(lines[i+1])
		for k := range line {
			if isCodeWord(line, k) {
				return near
			}
		}
	}
	return notBeside
}

// isMeeting reports whether the line has the number of a meeting by video. Its passcode is for all
// who are invited.
func isMeeting(line string) bool {
	line = strings.ToLower(line)
	return slices.ContainsFunc(meetings, func(words string) bool { return strings.Contains(line, words) })
}

// isCodeWord reports whether the k-th field of the line is a word for a one-time code, and not for
// some other code.
func isCodeWord(line []field, k int) bool {
	word := line[k].folded()
	before, after := "", ""
	if k > 0 {
		before = line[k-1].folded()
	}
	if k+1 < len(line) && !line[k].ends {
		after = line[k+1].folded()
	}
	switch {
	case codeWords[word]:
		return true
	case onceWords[word]: // "one-time password", "mot de passe à usage unique"
		near := line[max(0, k-5):min(len(line), k+6)]
		return slices.ContainsFunc(near, func(f field) bool { return onces[f.folded()] })
	case word == "code" || word == "codes" || word == "codigo" || word == "clave":
		if otherCodes[before] || otherCodes[after] {
			return false
		}
		if k+2 < len(line) && (after == "de" || after == "of") {
			return !otherCodes[line[k+2].folded()]
		}
		return true
	}
	first, ok := strings.CutSuffix(word, "code")
	if kind, apart := strings.CutSuffix(first, "-"); apart {
		return ok && !otherCodes[kind]
	}
	return ok && compounds[first]
}

func isNumber(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !isDigit(r) })
}

func isDigit(r rune) bool       { return r >= '0' && r <= '9' }
func isLowerLetter(r rune) bool { return r >= 'a' && r <= 'z' }
func isLetter(r rune) bool      { return isLowerLetter(r) || r >= 'A' && r <= 'Z' }

// setOf returns the words of a text as a set.
func setOf(words string) map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// Words without accents, in small letters.
var (
	codeWords = setOf("passcode otp totp pin tan mtan smstan einmalpasswort einmalkennwort einmal-passwort einmal-kennwort einmalcode einmalpin")
	// What goes before "code" in one word.
	compounds = setOf(`pass bestatigungs sicherheits verifizierungs verifikations einmal anmelde login log-in zugangs zugriffs aktivierungs freischalt
		authentifizierungs registrierungs pruf geheim sms tan auth pin bestatigung verification security access otp`)
	onceWords = setOf("password passwort kennwort passe contrasena")
	onces     = setOf("one-time once single-use onetime einmalig einmaliges unique unico uso temporary temporares")
	// What makes "code" a code of another kind.
	otherCodes = setOf(`discount promo promotion promotional promotionnel promocional coupon voucher gift zip postal area country dialing source error
		status qr bar barcode tracking booking reservation reference referral referenz dress exit http response product item color colour sort swift bank branch
		tax vat invite invitation conduct conduite conducta review descuento reduction remise barras barre barres suivi seguimiento reserva cadeau regalo
		parrainage morse genetic building civil penal insee iban vs visual aktions rabatt gutschein palabra card karten license licence lizenz serial wifi`)
	// What a number belongs to that follows it.
	besideNumbers = setOf(`€ $ £ chf eur usd gbp # nr nr. no no. n° nº num numero number nummer order bestellung bestellnummer commande pedido rechnung
		invoice facture factura ticket case ref reference referenz kundennummer customer account konto compte cuenta tel tel. telefon telefono telephone phone
		mobile fax call rufen anrufen appelez llame © copyright room zimmer rue street plz po box postfach january february march april may june july august
		september october november december januar februar marz mai juni juli oktober dezember janvier fevrier mars avril juin juillet aout septembre
		octobre novembre decembre enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre flight flug vol vuelo`)
	// What a number counts that stands before it.
	units = setOf(`€ $ £ chf eur euro euros usd dollar dollars gbp pounds % percent prozent second seconds sekunden secondes segundos minute minutes minuten
		minutos hour hours stunden heures horas day days tage tagen jours dias week weeks wochen semaines semanas km m kg g mb gb kb people personen points punkte
		puntos january february march april may june july august september october november december januar februar marz mai juni juli oktober dezember
		janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre enero febrero marzo abril mayo junio julio agosto septiembre octubre
		noviembre diciembre uhr street st avenue ave road rd`)
	sales = setOf(`off save saving savings sale sales discount checkout coupon voucher offer offers shop shopping rabatt sparen sparst spare angebot angebote
		gutschein einkauf kasse warenkorb aktion reduction remise soldes promo promotion offre panier achat achats descuento oferta ofertas rebajas ahorra ahorre
		compra compras`)
	meetings = []string{"meeting id", "meeting-id", "webinar id", "webinar-id", "conference id", "konferenz-id", "besprechungs-id", "id de réunion", "id de la réunion", "id de reunión", "id de la reunión"}
	// What stands between a code and the word for it.
	leads = setOf("is ist lautet est es sera as als comme como")
)
