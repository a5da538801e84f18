package web

import (
	"cmp"
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"idlepush"
)

// Preview is the request that a push service would receive for a sample mail.
type Preview struct {
	Transport    string          `json:"transport"`
	Content      string          `json:"content" enum:"wake,sender,subject,preview" doc:"Content level of this preview"`
	Service      string          `json:"service" doc:"The host that receives it"`
	Method       string          `json:"method"`
	URL          string          `json:"url" doc:"With HIDDEN for every secret, as in the headers and the body"`
	Headers      []previewHeader `json:"headers" doc:"Without those of HTTP itself (Host, Content-Length, Accept-Encoding)"`
	Body         string          `json:"body" doc:"As it is sent; ciphertext differs each time"`
	BodyEncoding string          `json:"body_encoding" enum:"text,base64" doc:"Encoding of the field body"`
	Readable     []string        `json:"readable" doc:"Descriptions of what the service can read"`
	Plaintext    string          `json:"plaintext,omitempty" doc:"Decrypted content, which only the device can read; absent: the body is not encrypted"`
}

// previewHeader is one HTTP header of a Preview.
type previewHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type previewOf struct {
	ID      string `path:"id"`
	Content string `query:"content" enum:"wake,sender,subject,preview" doc:"Content level to show; absent: that of the device"`
}

func (h *deviceHandlers) previewDevice(_ context.Context, c caller, in *previewOf) (*body[Preview], error) {
	d, err := h.ownDevice(c, in.ID)
	if err != nil {
		return nil, err
	}
	d.Content = cmp.Or(idlepush.Level(in.Content), d.Content)
	r, refusal := h.push.Preview(d)
	if refusal != nil {
		return nil, problemOf(h.codes, http.StatusConflict, refusal.Reason)
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	p := Preview{Transport: string(d.Transport), Content: string(d.Content), Service: u.Host, Method: r.Method, URL: r.URL, Headers: []previewHeader{},
		Body: string(r.Body), BodyEncoding: "text", Readable: r.Readable, Plaintext: string(r.Plaintext)}
	if !utf8.Valid(r.Body) {
		p.Body, p.BodyEncoding = base64.StdEncoding.EncodeToString(r.Body), "base64"
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		p.Headers = append(p.Headers, previewHeader{name, r.Header.Get(name)})
	}
	return &body[Preview]{p}, nil
}
