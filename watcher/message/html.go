package message

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlText returns the words of an HTML text, which may end anywhere: no comments, scripts, styles,
// titles and quoted mails. What is hidden by style stays, because that is where newsletters put
// their preview. Elements that are not inline divide lines.
func htmlText(text string) string {
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(text))
	skipping, depth := atom.Atom(0), 0
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return out.String() // always io.EOF
		}
		if kind == html.TextToken {
			if depth == 0 {
				out.Write(z.Text())
			}
			continue
		}
		token := z.Token()
		switch {
		case kind != html.StartTagToken && kind != html.EndTagToken && kind != html.SelfClosingTagToken:
			continue
		case depth > 0 && token.DataAtom == skipping && kind == html.StartTagToken:
			depth++
		case depth > 0 && token.DataAtom == skipping && kind == html.EndTagToken:
			depth--
		case depth == 0 && kind == html.StartTagToken && isPassedOver(token):
			skipping, depth = token.DataAtom, 1
		}
		if depth == 0 && !isInline(token.DataAtom) {
			out.WriteByte('\n')
		}
	}
}

// isPassedOver tells elements that hold no words of the sender's to the reader.
func isPassedOver(token html.Token) bool {
	switch token.DataAtom {
	case atom.Script, atom.Style, atom.Title, atom.Template, atom.Noscript, atom.Textarea, atom.Select, atom.Svg, atom.Math,
		atom.Object, atom.Iframe, atom.Noembed, atom.Noframes:
		return true
	case atom.Blockquote:
		for _, attribute := range token.Attr {
			if attribute.Key == "type" && strings.EqualFold(attribute.Val, "cite") ||
				attribute.Key == "class" && strings.Contains(attribute.Val, "gmail_quote") {
				return true
			}
		}
	}
	return false
}

// isInline tells elements that may begin or end inside a word.
func isInline(element atom.Atom) bool {
	switch element {
	case atom.A, atom.Abbr, atom.B, atom.Big, atom.Code, atom.Del, atom.Em, atom.Font, atom.I, atom.Ins, atom.Label, atom.Mark,
		atom.S, atom.Small, atom.Span, atom.Strike, atom.Strong, atom.Sub, atom.Sup, atom.Tt, atom.U, atom.Wbr:
		return true
	}
	return false
}
