package web

import (
	"context"
	"slices"

	"idlepush"
	"idlepush/codes"
)

// hint is one thing that an admin should change about this server.
type hint struct {
	Code   codes.Code        `json:"code" doc:"What is wrong, for programs"`
	Params map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Reason string            `json:"reason" doc:"What is wrong and what to do, for people"`
}

// adviceHandlers serves advice for admins.
type adviceHandlers struct {
	found []idlepush.Reason // Config.Advice
	guard *guard
	codes codes.Table
}

func (h *adviceHandlers) getAdvice(_ context.Context, c caller, _ *struct{}) (*body[List[hint]], error) {
	if err := requireAdmin(c); err != nil {
		return nil, err
	}
	advice := List[hint]{Items: []hint{}}
	for _, r := range slices.Concat(h.found, h.guard.noticed()) {
		advice.Items = append(advice.Items, hint{r.Code, r.Params, h.codes.Sentence(r.Code, r.Params)})
	}
	return &body[List[hint]]{advice}, nil
}

// Noticed returns what requests have shown that admins should change about this server.
func (s *Server) Noticed() []idlepush.Reason { return s.guard.noticed() }

func (g *guard) noticed() []idlepush.Reason {
	proxy := g.untrusted.Load()
	if proxy == nil {
		return nil
	}
	return []idlepush.Reason{idlepush.Reason{Code: "proxy_not_trusted"}.With("address", proxy.Addr().String()).With("network", proxy.String())}
}
