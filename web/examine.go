package web

import (
	"context"

	"idlepush/codes"
)

// examination is the result of each step on the way to a mailbox.
type examination struct {
	Steps []examinedStep `json:"steps" doc:"In their order, each after the one before; one that is wrong may be the last"`
}

// examinedStep is one step, and what it has found.
type examinedStep struct {
	Verdict      string            `json:"verdict" enum:"ok,look,wrong" doc:"ok: nothing is to be done; look: it works, but should be looked at; wrong: it must be repaired"`
	Code         codes.Code        `json:"code"`
	Params       map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Text         string            `json:"text" doc:"What was found, and what to do"`
	Milliseconds int64             `json:"milliseconds" doc:"How long the step took"`
}

// examineAccount goes the way of a session to the mailbox, with the stored password, and returns
// each step.
func (h *accountHandlers) examineAccount(ctx context.Context, c caller, in *byID) (*body[examination], error) {
	a, err := h.ownAccount(c, in.ID)
	if err != nil {
		return nil, err
	}
	if err := h.limits.allowLogin(c); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	out := examination{Steps: []examinedStep{}}
	for _, s := range h.mail.Examine(ctx, a) {
		out.Steps = append(out.Steps, examinedStep{string(s.Verdict), s.Code, s.Params, h.codes.Sentence(s.Code, s.Params), s.Took.Milliseconds()})
	}
	return &body[examination]{out}, nil
}
