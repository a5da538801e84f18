package browser

import (
	"reflect"
	"testing"

	"idlepush/web/browsertest"
)

// hours are quiet hours as the API has them.
func hours(from, to string, days ...any) object {
	return object{"from": from, "to": to, "days": days}
}

// TestQuietHours paints the quiet hours of a device with a mouse, a finger and keys.
func TestQuietHours(t *testing.T) {
	t.Parallel()
	s, p := openFurnished(t, browsertest.Chromium(t))
	p.SetLocale(t, "en-GB")
	p.Reload(t)
	id := s.ids(t, "/devices")[0]
	stored := func(t *testing.T) object {
		var wishes struct{ Quiet object }
		callAPI(t, p, "GET", "/devices/"+id+"/wishes", nil, &wishes)
		return wishes.Quiet
	}
	says := func(t *testing.T, want string) {
		t.Helper()
		p.Wait(t, "the editor says "+want, `want => document.querySelector("#quiet [aria-live]")?.textContent === want`, want)
	}
	cell := func(name string) string { return `css:[aria-label="` + name + `"]` }
	const nights = "Quiet every night from 22:00 to 07:00."
	p.SetViewport(t, 320, 800)
	s.openView(t, p, "device/"+id, "No quiet hours. It rings at any time.")
	if q := stored(t); q != nil {
		t.Errorf("nobody has asked for %v", q)
	}

	t.Run("switching them on offers the nights", func(t *testing.T) {
		p.Click(t, "Switch on quiet hours")
		says(t, nights)
		checkSizes(t, p)
		p.SetViewport(t, 320, 800)
		checkLayout(t, p)
		p.Click(t, "css:#quiet button.primary")
		p.WaitText(t, "Mail that arrives then waits until they end, but not: people who matter and what only you can help with.")
		var zone string
		p.Eval(t, &zone, `() => Intl.DateTimeFormat().resolvedOptions().timeZone`)
		want := object{"zone": zone, "hours": []any{hours("22:00", "07:00", "sun", "mon", "tue", "wed", "thu", "fri", "sat")}, "mode": "hold", "people": true, "attention": true}
		if q := stored(t); !reflect.DeepEqual(q, want) {
			t.Errorf("stored is %v, want %v", q, want)
		}
	})
	t.Run("a mouse paints, or erases if it begins where it is quiet", func(t *testing.T) {
		p.Click(t, "Change them")
		p.Drag(t, "mouse", cell("Monday 12:00"), cell("Tuesday 13:30"))
		says(t, "Quiet on Monday and Tuesday from 12:00 to 14:00 and every night from 22:00 to 07:00.")
		p.Drag(t, "mouse", cell("Tuesday 13:30"), cell("Monday 12:00"))
		says(t, nights)
		p.Click(t, cell("Sunday 12:00"))
		says(t, "Quiet every night from 22:00 to 07:00 and on Sunday from 12:00 to 12:30.")
		p.Click(t, cell("Sunday 12:00"))
		says(t, nights)
	})
	t.Run("a finger paints along a day, and scrolls the page across days", func(t *testing.T) {
		const wednesday = "Quiet every night from 22:00 to 07:00 and on Wednesday from 09:00 to 12:00."
		p.Drag(t, "touch", cell("Wednesday 09:00"), cell("Wednesday 11:30"))
		says(t, wednesday)
		var before float64
		p.Eval(t, &before, `() => scrollY`)
		p.Drag(t, "touch", cell("Sunday 12:00"), cell("Monday 12:00"))
		p.Wait(t, "the page has scrolled", `before => scrollY !== before`, before)
		says(t, wednesday)
	})
	t.Run("keys paint, and erase", func(t *testing.T) {
		p.Navigate(t, s.Origin+"/#/devices") // the page may still move
		s.openView(t, p, "device/"+id, nights)
		p.Click(t, "Change them")
		p.Click(t, "None")
		says(t, "No quiet hours. It rings at any time.")
		p.Press(t, browsertest.Tab, browsertest.Down, browsertest.Right, ' ')
		says(t, "Quiet on Tuesday from 00:30 to 01:00.")
		p.PressShifted(t, browsertest.Right, browsertest.Right, browsertest.Right, browsertest.Down)
		says(t, "Quiet on Tuesday and Wednesday from 00:30 to 02:30.")
		p.Press(t, browsertest.Left, ' ')
		p.PressShifted(t, browsertest.Left)
		says(t, "Quiet on Tuesday from 00:30 to 02:30, on Wednesday from 00:30 to 01:00, and on Wednesday from 02:00 to 02:30.")
		checkSizes(t, p)
		p.SetViewport(t, 320, 800)
	})
	t.Run("presets, and what happens to mail", func(t *testing.T) {
		p.Click(t, "None")
		p.Click(t, "Nights")
		p.Click(t, "Weekends")
		says(t, "Quiet Monday to Thursday from 22:00 to 07:00 and from Friday 22:00 to Monday 07:00.")
		p.Click(t, "is shown without a sound")
		p.Click(t, "css:#quiet [name=attention]")
		p.Click(t, "css:#quiet button.primary")
		p.WaitText(t, "Mail that arrives then is shown without a sound, but not: people who matter.")
		if q := stored(t); q["mode"] != "silent" || q["people"] != true || q["attention"] == true {
			t.Errorf("stored is %v", q)
		}
	})
	t.Run("a device that has moved asks whose time counts", func(t *testing.T) {
		callAPI(t, p, "PUT", "/devices/"+id+"/wishes", object{"revision": revision(t, p, id), "quiet": object{"zone": "Asia/Kathmandu", "mode": "hold", "hours": []object{hours("21:50", "06:10", "fri")}}}, nil)
		p.Eval(t, nil, `async id => {
			const { id: user } = await (await fetch("/api/v1/me")).json();
			await remember.setDevice({ id, user });
		}`, id)
		p.Navigate(t, s.Origin+"/#/devices")
		s.openView(t, p, "device/"+id, "The quiet hours of this device are in the time of Asia/Kathmandu, but it is in ")
		checkSizes(t, p)
		p.Eval(t, nil, `() => [...document.querySelectorAll("#quiet button")].find((b) => b.textContent.startsWith("Use the time of")).click()`)
		p.Wait(t, "the question is gone", `() => !document.querySelector("#quiet").textContent.includes("Kathmandu")`)
		if q := stored(t); q["zone"] == "Asia/Kathmandu" || !reflect.DeepEqual(q["hours"], []any{hours("21:50", "06:10", "fri")}) {
			t.Errorf("stored is %v", q)
		}
	})
	t.Run("a choice of folders can be undone where only one is left", func(t *testing.T) {
		account := s.ids(t, "/accounts")[0]
		callAPI(t, p, "PUT", "/devices/"+id+"/wishes", object{"revision": revision(t, p, id), "folders": object{account: []string{"INBOX"}}}, nil)
		p.Navigate(t, s.Origin+"/#/devices")
		s.openView(t, p, "device/"+id, "Mail in the others is not shown on this device.")
		p.Click(t, "css:#folders button.primary")
		p.WaitText(t, "Saved.")
		var wishes struct{ Folders object }
		callAPI(t, p, "GET", "/devices/"+id+"/wishes", nil, &wishes)
		if len(wishes.Folders) > 0 {
			t.Errorf("stored is %v", wishes.Folders)
		}
		callAPI(t, p, "PUT", "/devices/"+id+"/wishes", object{"revision": revision(t, p, id), "quiet": object{"zone": "UTC", "mode": "hold", "hours": []object{hours("21:50", "06:10", "fri")}}}, nil)
		p.Navigate(t, s.Origin+"/#/devices")
		s.openView(t, p, "device/"+id, "Switch them off")
	})
	t.Run("hours that are not saved yet are tried on last week", func(t *testing.T) {
		callAPI(t, p, "PUT", "/devices/"+id+"/wishes", object{"revision": revision(t, p, id), "quiet": object{"zone": "UTC", "mode": "silent",
			"hours": []object{hours("00:00", "00:00", "sun", "mon", "tue", "wed", "thu", "fri", "sat")}}}, nil)
		before := stored(t)
		p.Navigate(t, s.Origin+"/#/devices")
		s.openView(t, p, "device/"+id, "Always quiet.")
		p.Click(t, "Change them")
		p.Click(t, "Try it on last week")
		p.WaitText(t, "fairphone: It would not have rung.")
		p.WaitText(t, "fairphone: is shown without a sound, because of quiet hours until ")
		checkSizes(t, p)
		p.SetViewport(t, 320, 800)
		checkLayout(t, p)
		p.Click(t, "None")
		p.WaitText(t, "This has changed since. Try it again.")
		p.Click(t, "Try it on last week")
		p.WaitText(t, "fairphone: It would have rung 2 times instead of 0.")
		p.WaitText(t, "2 mails would have been treated differently:")
		p.Wait(t, "no other device is named", `() => !/firefox|pixel|iphone/.test(document.querySelector("#quiet").innerText)`)
		p.Click(t, "css:#quiet [value=hold]")
		p.Drag(t, "mouse", cell("Monday 00:00"), cell("Thursday 23:30"))
		p.Click(t, "Try it on last week")
		p.WaitText(t, "may last 64 hours at most")
		if after := stored(t); !reflect.DeepEqual(before, after) {
			t.Errorf("a trial has stored %v", after)
		}
		p.Click(t, "Cancel")
		p.WaitText(t, "Always quiet.")
	})
	t.Run("switched off, there are none", func(t *testing.T) {
		p.Click(t, "Switch them off")
		p.WaitText(t, "No quiet hours. It rings at any time.")
		if q := stored(t); q != nil {
			t.Errorf("stored is %v", q)
		}
	})
}

// revision returns that of the wishes of a device.
func revision(t *testing.T, p *browsertest.Page, device string) (n int) {
	var wishes struct{ Revision int }
	callAPI(t, p, "GET", "/devices/"+device+"/wishes", nil, &wishes)
	return wishes.Revision
}

// TestHeartbeat saves in the view of a device when it shows that all is well.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	s, p := openFurnished(t, browsertest.Chromium(t))
	id := s.ids(t, "/devices")[0]
	stored := func() (of struct{ Heartbeat object }) {
		callAPI(t, p, "GET", "/devices/"+id+"/wishes", nil, &of)
		return of
	}
	save := func(every, at string) {
		t.Helper()
		p.Eval(t, nil, `(every, at) => {
			const f = document.querySelector("#heartbeat form");
			f.elements.every.value = every;
			f.elements.every.dispatchEvent(new Event("change", { bubbles: true }));
			f.elements.at.value = at;
		}`, every, at)
		checkLayout(t, p)
		p.Click(t, "css:#heartbeat button")
		p.WaitText(t, "Saved.")
	}
	s.openView(t, p, "device/"+id, "A sign that all is well")
	if got := stored(); got.Heartbeat != nil {
		t.Errorf("nobody has asked for %v", got)
	}
	p.Wait(t, "no time is asked for", `() => !page.shown(document.querySelector("#heartbeat [name=at]"))`)
	save("week", "07:30")
	var zone string
	p.Eval(t, &zone, `() => Intl.DateTimeFormat().resolvedOptions().timeZone`)
	if got, want := stored().Heartbeat, (object{"every": "week", "at": "07:30", "zone": zone}); !reflect.DeepEqual(got, want) {
		t.Errorf("stored is %v, want %v", got, want)
	}
	p.Reload(t)
	p.Wait(t, "the form has what was saved", `() => {
		const f = document.querySelector("#heartbeat form");
		return f && f.elements.every.value === "week" && f.elements.at.value === "07:30" && page.shown(f.elements.at);
	}`)
	save("never", "07:30")
	if got := stored(); got.Heartbeat != nil {
		t.Errorf("after it was ended, stored is %v", got)
	}
}
