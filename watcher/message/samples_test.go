package message

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// description is the description that a message must have; an empty text is not compared.
type description struct{ from, subject, preview string }

// samples are messages as programs in use send them. Each file of testdata stands for a kind that
// some program got wrong.
var samples = map[string]description{
	"alt-plain-empty-html-css":    {preview: "Our spring sale starts today"},
	"alt-plain-holds-html":        {preview: "Your ticket 4711 was answered"},
	"alt-plain-placeholder":       {preview: "Your ticket 4711 was answered"},
	"charset-cp949":               {subject: "회의 안내", preview: "회의 안내"},
	"charset-gb2312-emoji":        {subject: "生日快乐🎂"},
	"charset-iso2022jp-ms":        {subject: "会議①"},
	"charset-iso2022kr":           {subject: "회의", preview: "회의"},
	"charset-utf-16-bom":          {preview: "Grüße"},
	"charset-utf7":                {subject: "Grüße", preview: "Grüße aus Köln"},
	"ct-bare-html":                {preview: "Bonjour"},
	"ct-no-semicolon":             {preview: "Bonjour à tous"},
	"ct-quoted-media":             {preview: "Bonjour"},
	"cte-comment":                 {preview: "Bonjour à tous"},
	"cte-semicolon":               {preview: "Bonjour à tous"},
	"flowed-delsp":                {preview: "会議のお知らせです。"},
	"from-all-encoded":            {from: "wartab"},
	"html-css-6k":                 {preview: "Our spring sale starts today"},
	"meta-only-1251":              {preview: "Привет, мир"},
	"mp-cte-base64":               {preview: "Words inside"},
	"raw-8bit-multipart-koi8":     {subject: "Хотите купить"},
	"split-two-labels":            {subject: "你好世界"},
	"subj-flag-emoji":             {subject: "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f wins"},
	"subj-zwj-hindi":              {subject: "ශ්\u200dරී ලංකා"},
	"subject-persian-zwnj":        {subject: "افزونه\u200cهای جدید"},
	"yenc-sig-dashes":             {preview: "Neues aus dem Verein"},
	"alt-in-related-in-mixed":     {preview: "Deep words"},
	"alt-plain-empty":             {preview: "Some html text"},
	"b64-no-padding":              {preview: "Bonjour à tous!!"},
	"bom-utf8":                    {preview: "Words"},
	"boundary-2231":               {preview: "Words"},
	"boundary-prefix":             {preview: "Inner words"},
	"charset-cp936":               {subject: "会议通知", preview: "会议通知"},
	"charset-x-mac-roman":         {subject: "Café"},
	"control":                     {from: "Ada Lovelace", subject: "Tea", preview: "Words."},
	"ct-and-cte-in-one-line":      {preview: "Grüße"},
	"ct-colon-param":              {preview: "Bonjour à tous"},
	"ct-params-spaced":            {preview: "你好"},
	"ct-text-only":                {preview: "Words."},
	"cte-lie-qp-in-html":          {preview: "a=b and c = d"},
	"cte-two-spaces":              {preview: "Grüße"},
	"disposition-attachment-text": {preview: ""},
	"dsn":                         {preview: "Delivery to bob@example.org failed."},
	"empty-body":                  {subject: "Only a subject", preview: ""},
	"flowed":                      {preview: "A long line that goes on here."},
	"from-backslash":              {from: "\\Backup\\ NAS"},
	"from-emoji-name":             {from: "🎁 Shop ❤️"},
	"from-empty-angle":            {from: ""},
	"from-encoded-angle":          {from: "<Beze jména>"},
	"from-encoded-comma":          {from: "Moore, Keith"},
	"from-github-style":           {from: "Support @example"},
	"from-group":                  {from: ""},
	"from-nbsp-only":              {from: "ada@example.org"},
	"from-no-space":               {from: "Action française"},
	"from-rfc6532":                {from: "Jürgen Müller", subject: "Grüße 🎉"},
	"from-semicolon-outlook":      {from: "Ada"},
	"from-space-in-word":          {from: "Atención al cliente"},
	"from-two-headers":            {from: "Ada"},
	"gb2312-japanese":             {preview: "いつもお世話になっております。"},
	"html-base-nbsp-table":        {preview: "Name Ada Total 9"},
	"html-br-li":                  {preview: "one two three"},
	"html-head-b64-cut":           {preview: "Start xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"},
	"html-head-no-title-text":     {preview: "Invoice 12 Total 9 €"},
	"html-mso-conditional":        {preview: "Visible"},
	"html-plain-less-than":        {preview: "if a < b && c > d: x"},
	"invite":                      {subject: "Invite", preview: ""},
	"mbox-from-line":              {preview: "Hello ________ From me"},
	"mp-double-semicolon":         {preview: "Words inside"},
	"mp-multipart-multipart":      {preview: "Words inside"},
	"mp-no-semicolon":             {preview: "Words inside"},
	"pgp-mime":                    {preview: ""},
	"qp-soft-break-crlf-space":    {preview: "oneword"},
	"raw-8bit-multipart-latin1":   {subject: "(Gebäudebrand groß), Landstraße"},
	"smime-opaque":                {preview: ""},
	"smime-signed":                {preview: "Signed words"},
	"split-b-q-mixed":             {subject: "Grüße"},
	"split-gb2312":                {subject: "会议通知请查收"},
	"split-iso2022jp":             {subject: "日本語のチェック"},
	"subj-2000-emoji":             {subject: strings.Repeat("🎉", subjectRunes-1) + "…"},
	"subj-8bit-utf8-and-word":     {subject: "Grüße – Köln"},
	"subj-empty-words":            {subject: "Rest"},
	"subj-folded-tabs":            {subject: "One two three"},
	"subj-missing":                {from: "Ada Lovelace", preview: "Words."},
	"subj-rtl":                    {subject: "שלום עולם"},
	"subj-thai-marks":             {subject: "ที่นี่ Tiếng Việt བོད་སྐད"},
	"tnef":                        {preview: ""},
	"word-1252-in-8859":           {subject: "We’ve reconnected – next"},
	"word-in-quotes-subject":      {subject: "\"Grüße\" aus Köln"},
	"word-lang-suffix":            {subject: "Grüße"},
	"word-newline-inside":         {subject: "Line one line two"},
	"zwnj-padding":                {preview: "Save 20% today Hello Ada"},
}

// delivered is a mail as a server sends it to a FETCH: its header fields, and the beginning of its
// text.
func delivered(t *testing.T, path string) (header, text []byte) {
	t.Helper()
	mail, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mail = bytes.ReplaceAll(bytes.ReplaceAll(mail, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	header, text, _ = bytes.Cut(mail, []byte("\r\n\r\n"))
	return append(header, "\r\n\r\n"...), text
}

// Messages that programs in use have sent are described as their senders meant them.
func TestDescribeSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) != len(samples) {
		t.Fatalf("%d files, %d are in the table, %v", len(files), len(samples), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".eml")
		t.Run(name, func(t *testing.T) {
			want, ok := samples[name]
			if !ok {
				t.Fatal("it is not in the table")
			}
			header, text := delivered(t, path)
			d := Describe(header, text)
			if d.Wanting {
				d.ReadParts(Part{header, text})
			}
			for what, pair := range map[string][2]string{"from": {d.From, want.from}, "subject": {d.Subject, want.subject}, "preview": {d.Preview, want.preview}} {
				if pair[1] != "" && pair[0] != pair[1] {
					t.Errorf("%s:\n got %q\nwant %q", what, pair[0], pair[1])
				}
			}
		})
	}
}
