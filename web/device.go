package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"idlepush/registry"
)

// Device is one phone or browser. Its address and keys are secret and never returned. Some
// transports have fields of their own, which describeTransports adds.
type Device struct {
	ID         string       `json:"id"`
	User       string       `json:"user" doc:"User id"`
	Name       string       `json:"name"`
	Transport  string       `json:"transport"`
	Encrypted  bool         `json:"encrypted" doc:"Whether what leaves the house for it is encrypted to its own key"`
	Content    string       `json:"content" enum:"wake,sender,subject,preview" doc:"How much may leave the house for it"`
	Accounts   []string     `json:"accounts,omitempty" doc:"Ids of the accounts that ring it; absent: all that its user sees"`
	Created    time.Time    `json:"created"`
	Registered time.Time    `json:"registered" doc:"When its address was last confirmed"`
	Status     DeviceStatus `json:"status"`

	params map[string]string // by field
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

// NewDevice registers a device. It states the whole registration, also where the address is known.
// Fields of transports and the words for the others are added by describeTransports.
type NewDevice struct {
	Name         string        `json:"name" minLength:"1" maxLength:"100"`
	Transport    string        `json:"transport"`
	Token        string        `json:"token,omitempty" maxLength:"4096"`
	Subscription *Subscription `json:"subscription,omitempty"`
	Encryption   *Keys         `json:"encryption,omitempty"`
	Content      string        `json:"content,omitempty" enum:"wake,sender,subject,preview"`
	Accounts     []string      `json:"accounts,omitempty" minItems:"1" maxItems:"200" doc:"Ids of the accounts that ring it; absent: all"`
	User         string        `json:"user,omitempty" doc:"Whose it will be; only the admin token gives this, and must"`

	given map[string]json.RawMessage
}

// UnmarshalJSON keeps the fields of transports beside the others.
func (n *NewDevice) UnmarshalJSON(data []byte) error {
	type plain NewDevice
	return errors.Join(json.Unmarshal(data, (*plain)(n)), json.Unmarshal(data, &n.given))
}

// DevicePatch changes what is given. Fields of transports are added by describeTransports.
type DevicePatch struct {
	Name         *string          `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Token        *string          `json:"token,omitempty" minLength:"1" maxLength:"4096" doc:"The rotated token"`
	Subscription *Subscription    `json:"subscription,omitempty" doc:"The rotated subscription"`
	Encryption   choice[Keys]     `json:"encryption,omitempty" doc:"null: content travels unencrypted"`
	Content      *string          `json:"content,omitempty" enum:"wake,sender,subject,preview"`
	Accounts     choice[[]string] `json:"accounts,omitempty" minItems:"1" maxItems:"200" doc:"null: all"`

	given map[string]json.RawMessage
}

// UnmarshalJSON keeps the fields of transports beside the others.
func (p *DevicePatch) UnmarshalJSON(data []byte) error {
	type plain DevicePatch
	return errors.Join(json.Unmarshal(data, (*plain)(p)), json.Unmarshal(data, &p.given))
}

// newDevice returns the device that is asked for, and what is wrong with its address.
func (s *server) newDevice(n NewDevice, user string) (registry.Device, faults) {
	d := registry.Device{User: user, Name: n.Name, Transport: registry.Transport(n.Transport), Content: registry.Level(n.Content), Accounts: n.Accounts}
	d, f := s.addressed(d, address{&n.Token, n.Subscription, choice[Keys]{true, n.Encryption}, n.given})
	if d.Content == "" {
		d.Content = registry.Subject
		if d.Keys == nil {
			d.Content = registry.Wake
		}
	}
	return d, f
}

// patched returns the device with the changes, and what is wrong with its address then.
func (s *server) patched(d registry.Device, p DevicePatch) (registry.Device, faults) {
	set(&d.Name, p.Name)
	set(&d.Content, (*registry.Level)(p.Content))
	if p.Accounts.given {
		d.Accounts = nil
		set(&d.Accounts, p.Accounts.value)
	}
	return s.addressed(d, address{p.Token, p.Subscription, p.Encryption, p.given})
}

func (s *server) deviceOf(d registry.Device, lanes []registry.Lane) Device {
	return Device{ID: d.ID, User: d.User, Name: d.Name, Transport: string(d.Transport), Encrypted: d.Keys != nil, Content: string(d.Content), Accounts: d.Accounts,
		Created: d.Created.UTC(), Registered: d.Registered.UTC(), Status: deviceStatus(d, lanes), params: s.transport(d.Transport).shownOf(d)}
}

// shown is a device with the pause of its lane.
func (s *server) shown(d registry.Device) (Device, error) {
	lanes, err := s.Devices.Lanes()
	return s.deviceOf(d, lanes), err
}

// deviceOwned gives a device of the caller; ErrNotFound also where it is another's.
func (s *server) deviceOwned(c caller, id string) (registry.Device, error) {
	d, err := s.Devices.Get(id)
	if err == nil && !c.owns(d.User) {
		err = registry.ErrNotFound
	}
	return d, err
}

// devices gives the devices that the caller may see.
func (s *server) devices(c caller) ([]registry.Device, error) {
	if c.scope == admin {
		return s.Devices.List("")
	}
	return s.Devices.List(c.user.ID)
}

func (s *server) listDevices(_ context.Context, c caller, in *pageOf) (*body[List[Device]], error) {
	devices, err := s.devices(c)
	if err != nil {
		return nil, err
	}
	lanes, err := s.Devices.Lanes()
	if err != nil {
		return nil, err
	}
	return listOf(devices, func(d registry.Device) place { return placeOf(d.Created, d.ID) }, *in, func(d registry.Device) (Device, error) { return s.deviceOf(d, lanes), nil })
}

func (s *server) getDevice(_ context.Context, c caller, in *byID) (*body[Device], error) {
	d, err := s.deviceOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.shown(d)
	return &body[Device]{out}, err
}

func (s *server) deleteDevice(ctx context.Context, c caller, in *byID) (*struct{}, error) {
	d, err := s.deviceOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	err = s.Devices.Remove(d, c.session())
	if errors.Is(err, registry.ErrStale) {
		return s.deleteDevice(ctx, c, in)
	}
	return nil, err
}

// VAPID is the application server key.
type VAPID struct {
	PublicKey string `json:"public_key" doc:"For applicationServerKey: 65 bytes in base64url, an uncompressed point on P-256"`
}

func (s *server) getVAPID(_ context.Context, _ caller, _ *struct{}) (*body[VAPID], error) {
	return &body[VAPID]{VAPID{base64.RawURLEncoding.EncodeToString(s.VAPIDKey)}}, nil
}
