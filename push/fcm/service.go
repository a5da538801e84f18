package fcm

import "idlepush/push"

// The settings.
const (
	settingCredentials = "fcm-credentials"
	settingEndpoint    = "fcm-endpoint"
)

// Service makes the transport from its settings.
var Service = push.Service{
	Codes: Codes,
	Settings: []push.Setting{
		{Name: settingCredentials, Secret: true, Meaning: "service account `JSON` of the Firebase project"},
		{Name: settingEndpoint, Meaning: "another base `URL` for FCM, as far as /v1", Check: push.CheckURL},
	},
	New: func(v push.Values, s push.Server) (push.Transports, error) {
		if v[settingCredentials] == "" {
			return push.Transports{new(Transport)}, nil
		}
		t, err := New(Config{Credentials: []byte(v[settingCredentials]), Endpoint: v[settingEndpoint], Dial: s.Dial})
		return push.Transports{t}, err
	},
}
