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

	"idlepush/registry"
)

// Preview is what a push service would receive for a sample mail.
type Preview struct {
	Transport    string          `json:"transport"`
	Content      string          `json:"content" enum:"wake,sender,subject,preview" doc:"The level it is made for"`
	Service      string          `json:"service" doc:"The host that receives it"`
	Method       string          `json:"method"`
	URL          string          `json:"url" doc:"HIDDEN stands here, in the headers and in the body for what is secret"`
	Headers      []PreviewHeader `json:"headers" doc:"Without what HTTP itself adds on the way (Host, Content-Length, Accept-Encoding)"`
	Body         string          `json:"body" doc:"As it goes out; ciphertext is another one each time"`
	BodyEncoding string          `json:"body_encoding" enum:"text,base64" doc:"How the body is written here"`
	Readable     []string        `json:"readable" doc:"What the service can read of it, in words"`
	Plaintext    string          `json:"plaintext,omitempty" doc:"What is encrypted in the body, which only the device reads; absent: nothing is"`
}

// PreviewHeader is one header of it.
type PreviewHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type previewOf struct {
	ID      string `path:"id"`
	Content string `query:"content" enum:"wake,sender,subject,preview" doc:"The level to show; absent: the device's"`
}

func (h *deviceHandlers) previewDevice(_ context.Context, c caller, in *previewOf) (*body[Preview], error) {
	d, err := h.deviceOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	d.Content = cmp.Or(registry.Level(in.Content), d.Content)
	r, refusal := h.push.Preview(d)
	if refusal != nil {
		return nil, problem(http.StatusConflict, refusal.Code, refusal.Reason)
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	p := Preview{Transport: string(d.Transport), Content: string(d.Content), Service: u.Host, Method: r.Method, URL: r.URL, Headers: []PreviewHeader{},
		Body: string(r.Body), BodyEncoding: "text", Readable: r.Readable, Plaintext: string(r.Plaintext)}
	if !utf8.Valid(r.Body) {
		p.Body, p.BodyEncoding = base64.StdEncoding.EncodeToString(r.Body), "base64"
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		p.Headers = append(p.Headers, PreviewHeader{name, r.Header.Get(name)})
	}
	return &body[Preview]{p}, nil
}
