package apns

import "idlepush/push"

// The settings.
const (
	settingKey      = "apns-key"
	settingKeyID    = "apns-key-id"
	settingTeamID   = "apns-team-id"
	settingTopic    = "apns-topic"
	settingEndpoint = "apns-endpoint"
)

// Service makes the transport from its settings.
var Service = push.Service{
	Codes: Codes,
	Settings: []push.Setting{
		{Name: settingKey, Secret: true, Meaning: "the `text` of the .p8 file, the APNs signing key"},
		{Name: settingKeyID, Meaning: "`id` of the APNs key"},
		{Name: settingTeamID, Meaning: "`id` of the Apple developer team"},
		{Name: settingTopic, Meaning: "bundle `id` of the app, for devices that name none"},
		{Name: settingEndpoint, Meaning: "another base `URL` for APNs", Check: push.CheckURL},
	},
	Check: func(v push.Values) error {
		if v[settingKey] == "" {
			for _, name := range []string{settingKeyID, settingTeamID, settingTopic, settingEndpoint} {
				if v[name] != "" {
					return &push.SettingError{Name: settingKey, Problem: "the other apns settings need it"}
				}
			}
			return nil
		}
		for _, name := range []string{settingKeyID, settingTeamID, settingTopic} {
			if v[name] == "" {
				return &push.SettingError{Name: name, Problem: "apns-key needs it"}
			}
		}
		return nil
	},
	New: func(v push.Values, s push.Server) (push.Transports, error) {
		if v[settingKey] == "" {
			return push.Transports{new(Transport)}, nil
		}
		t, err := New(Config{Key: []byte(v[settingKey]), KeyID: v[settingKeyID], TeamID: v[settingTeamID],
			Topic: v[settingTopic], Endpoint: v[settingEndpoint], Dial: s.Dial})
		return push.Transports{t}, err
	},
}
