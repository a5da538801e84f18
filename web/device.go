package web

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"idlepush/registry"
)

// Device is one phone or browser. Its address and keys are secret and never returned.
type Device struct {
	ID          string       `json:"id"`
	User        string       `json:"user" doc:"User id"`
	Name        string       `json:"name"`
	Transport   string       `json:"transport" enum:"fcm,apns,webpush,unifiedpush"`
	Environment string       `json:"environment,omitempty" enum:"production,sandbox" doc:"apns only; absent: not known until a push has shown it"`
	Topic       string       `json:"topic,omitempty" doc:"apns only; absent: the server's"`
	Encrypted   bool         `json:"encrypted" doc:"Whether what leaves the house for it is encrypted to its own key"`
	Content     string       `json:"content" enum:"wake,sender,subject,preview" doc:"How much may leave the house for it"`
	Accounts    []string     `json:"accounts,omitempty" doc:"Ids of the accounts that ring it; absent: all that its user sees"`
	Created     time.Time    `json:"created"`
	Registered  time.Time    `json:"registered" doc:"When its address was last confirmed"`
	Status      DeviceStatus `json:"status"`
}

// NewDevice registers a device. It states the whole registration, also where the address is known.
type NewDevice struct {
	Name         string        `json:"name" minLength:"1" maxLength:"100"`
	Transport    string        `json:"transport" enum:"fcm,apns,webpush,unifiedpush"`
	Token        string        `json:"token,omitempty" maxLength:"4096" doc:"fcm and apns"`
	Environment  string        `json:"environment,omitempty" enum:"production,sandbox" doc:"apns; absent: not known, then each push asks production first and the sandbox where production does not know the token, until one has shown which it is"`
	Topic        string        `json:"topic,omitempty" maxLength:"255" doc:"apns: the app's bundle id; absent: the server's"`
	Subscription *Subscription `json:"subscription,omitempty" doc:"webpush and unifiedpush"`
	Encryption   *Keys         `json:"encryption,omitempty" doc:"fcm and apns: encrypt content to these keys by RFC 8291"`
	Content      string        `json:"content,omitempty" enum:"wake,sender,subject,preview" doc:"Absent: wake for fcm and apns without encryption, else subject"`
	Accounts     []string      `json:"accounts,omitempty" minItems:"1" maxItems:"200" doc:"Ids of the accounts that ring it; absent: all"`
	User         string        `json:"user,omitempty" doc:"Whose it will be; only the admin token gives this, and must"`
}

// DevicePatch changes what is given.
type DevicePatch struct {
	Name         *string          `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Token        *string          `json:"token,omitempty" minLength:"1" maxLength:"4096" doc:"The rotated token"`
	Environment  *string          `json:"environment,omitempty" enum:"production,sandbox" doc:"Absent: as it is, also where the token changes"`
	Topic        *string          `json:"topic,omitempty" maxLength:"255"`
	Subscription *Subscription    `json:"subscription,omitempty" doc:"The rotated subscription"`
	Encryption   choice[Keys]     `json:"encryption,omitempty" doc:"null: content travels unencrypted"`
	Content      *string          `json:"content,omitempty" enum:"wake,sender,subject,preview"`
	Accounts     choice[[]string] `json:"accounts,omitempty" minItems:"1" maxItems:"200" doc:"null: all"`
}

func (n NewDevice) device(user string) registry.Device {
	d := registry.Device{User: user, Name: n.Name, Transport: registry.Transport(n.Transport), Token: registry.Secret(n.Token),
		Environment: registry.Environment(n.Environment), Topic: n.Topic, Subscription: n.Subscription.subscription(),
		Encryption: n.Encryption.optional(), Content: registry.Level(n.Content), Accounts: n.Accounts}
	if d.Content == "" {
		d.Content = registry.Subject
		if d.Subscription == nil && d.Encryption == nil {
			d.Content = registry.Wake
		}
	}
	return d
}

// apply gives the device with the changes.
func (p DevicePatch) apply(d registry.Device) registry.Device {
	set(&d.Name, p.Name)
	set(&d.Token, (*registry.Secret)(p.Token))
	set(&d.Environment, (*registry.Environment)(p.Environment))
	set(&d.Topic, p.Topic)
	set(&d.Content, (*registry.Level)(p.Content))
	if p.Subscription != nil {
		d.Subscription = p.Subscription.subscription()
	}
	if p.Encryption.given {
		d.Encryption = p.Encryption.value.optional()
	}
	if p.Accounts.given {
		d.Accounts = nil
		set(&d.Accounts, p.Accounts.value)
	}
	return d
}

func deviceOf(d registry.Device, lanes []registry.Lane) Device {
	return Device{ID: d.ID, User: d.User, Name: d.Name, Transport: string(d.Transport), Environment: string(d.Environment),
		Topic: d.Topic, Encrypted: d.Subscription != nil || d.Encryption != nil, Content: string(d.Content), Accounts: d.Accounts,
		Created: d.Created.UTC(), Registered: d.Registered.UTC(), Status: deviceStatus(d, lanes)}
}

// shown is a device with the pause of its lane.
func (s *server) shown(d registry.Device) (Device, error) {
	lanes, err := s.Devices.Lanes()
	return deviceOf(d, lanes), err
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
	return listOf(devices, func(d registry.Device) place { return placeOf(d.Created, d.ID) }, *in, func(d registry.Device) (Device, error) { return deviceOf(d, lanes), nil })
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
