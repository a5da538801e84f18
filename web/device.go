package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/ring"
)

// Device is one phone or browser. Its address and keys are secret and never returned.
// transportList.describe adds the fields of transports.
type Device struct {
	ID         string       `json:"id"`
	User       string       `json:"user" doc:"User id"`
	Name       string       `json:"name"`
	Transport  string       `json:"transport"`
	Encrypted  bool         `json:"encrypted" doc:"Whether its content is encrypted to its own key"`
	Content    string       `json:"content" enum:"wake,sender,subject,preview" doc:"How much content is sent to it"`
	Accounts   []string     `json:"accounts,omitempty" doc:"Ids of the accounts that notify it; absent: all that its user sees"`
	Created    time.Time    `json:"created"`
	Registered time.Time    `json:"registered" doc:"When its address was last confirmed"`
	Status     DeviceStatus `json:"status"`
	Holds      *holds       `json:"holds,omitempty" doc:"What is held back for it; absent: nothing is"`

	params map[string]string // of the transport, by field
}

// holds counts the mails that wait for a device, and says until when.
type holds struct {
	Until time.Time  `json:"until" doc:"When all of it will have been decided again"`
	Count int        `json:"count" doc:"Number of mails and of what else needs attention"`
	Code  codes.Code `json:"code,omitempty" doc:"What holds the last of it: quiet_hours or burst; absent: the limit of a push service"`
}

// MarshalJSON adds the fields of the transport.
func (d Device) MarshalJSON() ([]byte, error) {
	type plain Device
	text, err := json.Marshal(plain(d))
	if err != nil || len(d.params) == 0 {
		return text, err
	}
	params, err := json.Marshal(d.params)
	if err != nil {
		return nil, err
	}
	return slices.Concat(text[:len(text)-1], []byte(","), params[1:]), nil
}

// newDevice is a request to register a device. It replaces the whole registration if the address is
// known. transportList.describe adds the fields of transports and the descriptions of the others.
type newDevice struct {
	Name         string        `json:"name" minLength:"1" maxLength:"100"`
	Transport    string        `json:"transport"`
	Token        string        `json:"token,omitempty" maxLength:"4096"`
	Subscription *Subscription `json:"subscription,omitempty"`
	Encryption   *Keys         `json:"encryption,omitempty"`
	Content      string        `json:"content,omitempty" enum:"wake,sender,subject,preview"`
	Accounts     []string      `json:"accounts,omitempty" minItems:"1" maxItems:"200" doc:"Ids of the accounts that notify it; absent: all"`
	User         string        `json:"user,omitempty" doc:"Owner of the device; required with the admin token, forbidden without"`

	given map[string]json.RawMessage
}

// UnmarshalJSON also keeps the raw fields, for those of transports.
func (n *newDevice) UnmarshalJSON(data []byte) error {
	type plain newDevice
	return errors.Join(json.Unmarshal(data, (*plain)(n)), json.Unmarshal(data, &n.given))
}

// devicePatch changes the fields that are present. transportList.describe adds the fields of
// transports.
type devicePatch struct {
	Name         *string          `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Token        *string          `json:"token,omitempty" minLength:"1" maxLength:"4096" doc:"The rotated token"`
	Subscription *Subscription    `json:"subscription,omitempty" doc:"The rotated subscription"`
	Encryption   choice[Keys]     `json:"encryption,omitempty" doc:"null: content travels unencrypted"`
	Content      *string          `json:"content,omitempty" enum:"wake,sender,subject,preview"`
	Accounts     choice[[]string] `json:"accounts,omitempty" minItems:"1" maxItems:"200" doc:"null: all"`

	given map[string]json.RawMessage
}

// UnmarshalJSON also keeps the raw fields, for those of transports.
func (p *devicePatch) UnmarshalJSON(data []byte) error {
	type plain devicePatch
	return errors.Join(json.Unmarshal(data, (*plain)(p)), json.Unmarshal(data, &p.given))
}

// deviceHandlers serves devices.
type deviceHandlers struct {
	users      registry.Users
	accounts   registry.Accounts
	devices    registry.Devices
	limits     *limits
	transports transportList
	push       PushConfig
	codes      codes.Table
}

// requestedDevice returns the device of a request, and the faults in its address.
func (h *deviceHandlers) requestedDevice(n newDevice, user string) (idlepush.Device, faults) {
	d := idlepush.Device{User: user, Name: labelOf(n.Name), Transport: idlepush.Transport(n.Transport), Content: idlepush.Level(n.Content), Accounts: n.Accounts}
	d, f := h.setAddress(d, address{&n.Token, n.Subscription, choice[Keys]{true, n.Encryption}, n.given})
	if d.Content == "" {
		d.Content = idlepush.LevelSubject
		if d.Keys == nil {
			d.Content = idlepush.LevelWake
		}
	}
	return d, f
}

// patched returns the device with the changes, and the faults in its address.
func (h *deviceHandlers) patched(d idlepush.Device, p devicePatch) (idlepush.Device, faults) {
	if p.Name != nil {
		d.Name = labelOf(*p.Name)
	}
	set(&d.Content, (*idlepush.Level)(p.Content))
	if p.Accounts.given {
		d.Accounts = nil
		set(&d.Accounts, p.Accounts.value)
	}
	return h.setAddress(d, address{p.Token, p.Subscription, p.Encryption, p.given})
}

func (h *deviceHandlers) deviceOf(d idlepush.Device, lanes []registry.Lane, held ring.Holds, last []receipt.Trip, now time.Time) Device {
	status := h.deviceStatus(d, lanes, now)
	status.Chain = chainOf(d, last, now)
	out := Device{ID: d.ID, User: d.User, Name: d.Name, Transport: string(d.Transport), Encrypted: d.Keys != nil, Content: string(d.Content), Accounts: d.Accounts,
		Created: d.Created.UTC(), Registered: d.Registered.UTC(), Status: status, params: h.transports.named(d.Transport).paramsOf(d)}
	if held.Count > 0 {
		out.Holds = &holds{held.Until.UTC(), held.Count, held.Code}
	}
	return out
}

// view returns the device with the pause of its lane, and with the mails that wait for it.
func (h *deviceHandlers) view(d idlepush.Device) (Device, error) {
	views, err := h.views([]idlepush.Device{d})
	return views[d.ID], err
}

// views does what view does for several devices, and returns them by id.
func (h *deviceHandlers) views(devices []idlepush.Device) (map[string]Device, error) {
	lanes, err := h.devices.Lanes()
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(devices))
	for i, d := range devices {
		ids[i] = d.ID
	}
	now := time.Now()
	held, err := h.devices.Holds(ids, now)
	if err != nil {
		return nil, err
	}
	last, err := h.devices.Trips(ids)
	if err != nil {
		return nil, err
	}
	out := make(map[string]Device)
	for i, d := range devices {
		out[d.ID] = h.deviceOf(d, lanes, held[i], last[i], now)
	}
	return out, nil
}

// ownDevice returns a device of the caller. It returns registry.ErrNotFound for any other.
func (h *deviceHandlers) ownDevice(c caller, id string) (idlepush.Device, error) {
	d, err := h.devices.Get(id)
	if err == nil && (!c.owns(d.User) || c.scope == device && d.By != c.token.ID) {
		err = registry.ErrNotFound
	}
	return d, err
}

// devicesOf returns the devices that the caller may see. With a token of device scope that is the
// one that it registered, if there is one.
func devicesOf(devices registry.Devices, c caller) ([]idlepush.Device, error) {
	if c.scope == admin {
		return devices.List("")
	}
	list, err := devices.List(c.user.ID)
	if c.scope == device {
		list = slices.DeleteFunc(list, func(d idlepush.Device) bool { return d.By != c.token.ID })
	}
	return list, err
}

func (h *deviceHandlers) listDevices(_ context.Context, c caller, in *pageOf) (*body[List[Device]], error) {
	devices, err := devicesOf(h.devices, c)
	if err != nil {
		return nil, err
	}
	views, err := h.views(devices)
	if err != nil {
		return nil, err
	}
	return listOf(devices, func(d idlepush.Device) place { return placeOf(d.Created, d.ID) }, *in, func(d idlepush.Device) (Device, error) { return views[d.ID], nil })
}

func (h *deviceHandlers) getDevice(_ context.Context, c caller, in *byID) (*body[Device], error) {
	d, err := h.ownDevice(c, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := h.view(d)
	return &body[Device]{out}, err
}

func (h *deviceHandlers) deleteDevice(ctx context.Context, c caller, in *byID) (*struct{}, error) {
	d, err := h.ownDevice(c, in.ID)
	if err != nil {
		return nil, err
	}
	err = h.devices.Remove(d, c.token.ID)
	if errors.Is(err, registry.ErrStale) {
		return h.deleteDevice(ctx, c, in)
	}
	return nil, err
}

// VAPID holds the application server key.
type VAPID struct {
	PublicKey string `json:"public_key" doc:"For applicationServerKey: 65 bytes in base64url, an uncompressed point on P-256"`
}

func (h *deviceHandlers) getVAPID(_ context.Context, _ caller, _ *struct{}) (*body[VAPID], error) {
	return &body[VAPID]{VAPID{base64.RawURLEncoding.EncodeToString(h.push.VAPIDKey)}}, nil
}
