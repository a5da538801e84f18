package web

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"idlepush/receipt"
	"idlepush/registry"
)

// deliverFirst delivers what waits first for the device. It returns its id and the path of its
// receipt.
func deliverFirst(t *testing.T, h *testServer, device string) (id, path string) {
	t.Helper()
	w, ok, err := h.store.Outbox.Next(device, time.Now())
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	_, err = h.store.Outbox.Settle(w, registry.Outcome{Result: registry.ResultDelivered}, time.Now())
	fatal(t, err)
	return w.Notification.ID, strings.TrimPrefix(receipt.Path, prefix) + string(w.Receipt)
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	device := "/devices/" + ids["DEVICE"]
	chain := func() map[string]any {
		t.Helper()
		return h.call(h.anna.full, "GET", device, nil, 200).body["status"].(map[string]any)["chain"].(map[string]any)
	}
	id, path := deliverFirst(t, h, ids["DEVICE"])
	if c := chain(); c["queued"] == nil || c["accepted"] == nil || c["received"] != nil || c["last_link"] != "accepted" || c["trips"] != nil {
		t.Errorf("before any report the chain is %v", c)
	}
	// The clock of the phone is a day ahead.
	now := time.Now().Add(24 * time.Hour)
	h.call("", "POST", path, object{"received": now.Add(-time.Second), "shown": now, "now": now}, 204)
	c := chain()
	if c["received"] == nil || c["shown"] == nil || c["opened"] != nil || c["last_link"] != nil || c["trips"].(map[string]any)["of"] != 1.0 {
		t.Errorf("the chain is %v", c)
	}
	delivery := func(token string) (found map[string]any) {
		t.Helper()
		for _, item := range h.call(token, "GET", "/notifications/"+id, nil, 200).body["deliveries"].([]any) {
			if one := item.(map[string]any); one["device"] == ids["DEVICE"] {
				found = one
			}
		}
		return found
	}
	shown, err := time.Parse(time.RFC3339Nano, delivery(h.anna.full)["shown"].(string))
	if err != nil || time.Since(shown) > time.Hour || shown.After(time.Now()) {
		t.Errorf("it was shown at %s, %v", shown, err)
	}
	h.call("", "POST", path, object{"opened": now, "now": now}, 204)
	first := delivery(h.anna.full)
	h.call("", "POST", path, object{"received": now, "shown": now, "opened": now, "now": now}, 204)
	if again := delivery(h.anna.full); first["opened"] == nil || again["received"] != first["received"] || again["opened"] != first["opened"] {
		t.Errorf("reported again, it is %v, and was %v", again, first)
	}
}

// TestReceiptsRefused: whatever is wrong with a report, nothing changes.
func TestReceiptsRefused(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	_, path := deliverFirst(t, h, ids["DEVICE"])
	flipped := []byte(path)
	flipped[len(flipped)-30] ^= 1
	now := time.Now()
	good := object{"received": now, "now": now}
	for name, c := range map[string]struct {
		path string
		body any
		want int
		code string
	}{
		"forged":                   {"/receipts/forged", good, 404, "receipt_unknown"},
		"one bit flipped":          {string(flipped), good, 404, "receipt_unknown"},
		"cut short":                {path[:len(path)-4], good, 404, "receipt_unknown"},
		"nothing":                  {path, object{}, 422, "invalid"},
		"no event":                 {path, object{"now": now}, 422, "invalid"},
		"no clock":                 {path, object{"received": now}, 422, "invalid"},
		"no time":                  {path, object{"received": "noon", "now": now}, 422, "invalid"},
		"an unknown one":           {path, good.with("vibrated", now), 422, "invalid"},
		"a huge one":               {path, object{"received": strings.Repeat("1", maxBody), "now": now}, 413, "too_large"},
		"of a device that is gone": {strings.TrimPrefix(receipt.Path, prefix) + string(h.store.Outbox.TestReceipt("gone", now)), good, 410, "receipt_late"},
	} {
		if a := h.call("", "POST", c.path, c.body, c.want); a.body["code"] != c.code {
			t.Errorf("%s: %v", name, a.body)
		}
	}
	if d, err := h.store.Devices.Get(ids["DEVICE"]); err != nil || d.Chain.Reported() {
		t.Errorf("it has the chain %+v, %v", d.Chain, err)
	}
}

func TestThousandReceiptsAtOnce(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	_, path := deliverFirst(t, h, ids["DEVICE"])
	var taken, limited atomic.Int64
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			now := time.Now()
			switch a := h.send(h.request("", "POST", path, object{"received": now, "now": now})); a.status {
			case http.StatusNoContent:
				taken.Add(1)
			case http.StatusTooManyRequests:
				limited.Add(1)
			default:
				t.Errorf("%d: %v", a.status, a.body)
			}
		})
	}
	all.Wait()
	if taken.Load() == 0 || limited.Load() == 0 {
		t.Errorf("%d are taken, %d come too often", taken.Load(), limited.Load())
	}
	if trips, err := h.store.Devices.Trips([]string{ids["DEVICE"]}); err != nil || len(trips[0]) != 1 {
		t.Errorf("there are %d trips, %v", len(trips[0]), err)
	}
}

// TestUnconfirmed: what the API says of a device that has stopped reporting.
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	d, err := h.store.Devices.Get(ids["DEVICE"])
	fatal(t, err)
	since := time.Now().Add(-25 * time.Hour)
	d.Status.State, d.Chain = "proven", receipt.Chain{Receipt: receipt.Receipt{Received: since}, Unanswered: 3, Since: since}
	if st := d.ShownStatus(time.Now()); st.State != "unconfirmed" || st.Since != since || st.Code != receipt.CodeUnconfirmed {
		t.Errorf("it is shown as %+v", st)
	}
	d.Status.State = "suspect"
	if st := d.ShownStatus(time.Now()); st.State != "suspect" {
		t.Errorf("a suspect one is shown as %+v", st)
	}
}
