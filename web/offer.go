package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"idlepush"
	"idlepush/registry"
)

// offer is a mailbox that its owner wants to share with the user who asks.
type offer struct {
	ID        string    `json:"id"`
	Owner     string    `json:"owner" doc:"User id"`
	OwnerName string    `json:"owner_name"`
	Email     string    `json:"email" doc:"What the owner calls the mailbox; it need not be its address"`
	Host      string    `json:"host" doc:"Its mail server"`
	Username  string    `json:"username" doc:"Its user name there"`
	Offered   time.Time `json:"offered"`
}

func (h *accountHandlers) offerOf(o idlepush.Offer) (offer, error) {
	owner, err := h.users.Get(o.Account.Owner)
	if err != nil && !errors.Is(err, registry.ErrNotFound) { // the owner is being removed
		return offer{}, err
	}
	return offer{o.ID, o.Account.Owner, owner.Name, o.Account.Email, o.Account.Host, o.Account.Username, o.At.UTC()}, nil
}

func (h *accountHandlers) listOffers(_ context.Context, c caller, in *pageOf) (*body[List[offer]], error) {
	offers, err := h.accounts.Offers(c.user.ID)
	if err != nil {
		return nil, err
	}
	return listOf(offers, func(o idlepush.Offer) place { return placeOf(o.At, o.ID) }, *in, h.offerOf)
}

func (h *accountHandlers) acceptOffer(_ context.Context, c caller, in *byID) (*struct{}, error) {
	return nil, h.accounts.Accept(c.user.ID, in.ID, time.Now())
}

func (h *accountHandlers) declineOffer(_ context.Context, c caller, in *byID) (*struct{}, error) {
	return nil, h.accounts.Decline(c.user.ID, in.ID, time.Now())
}

// notOffered returns the problem if a person must not be offered a mailbox yet, and other errors as
// they are.
func (h *accountHandlers) notOffered(err error) error {
	refused, ok := errors.AsType[*registry.RefusedError](err)
	if !ok {
		return err
	}
	person, err := h.users.Get(refused.User)
	if err != nil {
		return err
	}
	return problem(http.StatusConflict, "share_refused").with("person", person.Name).with("from", refused.From.UTC().Format(time.RFC3339))
}
