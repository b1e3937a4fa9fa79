package app

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/cmd/nodetest"
)

// axe judges accessibility; its sum changes with testdata/node/package.json.
var axe = nodetest.Client{Name: "axe-core-4.14.1", Sum: "33bd4f25ffc3821f1030ecbf6a161cee7010a5ee847b955efefafcc4c0842e81"}

// TestPageInABrowser looks at every page in light and dark with the eyes of those who cannot see, and uses the page as a person does.
func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	judge := axe.Install(t)
	if judge == nil {
		return
	}
	b := startBrowser(t)
	if b == nil {
		return
	}
	w := newWorld(t)
	w.cfg.PagePassword = pagePassword
	a, _ := w.start()
	w.visit(a)
	p := &pageUser{world: w, browser: b, root: "http://" + a.Addr(), axe: string(judge.Read(t, "axe-core/axe.min.js"))}
	b.call("Network.setExtraHTTPHeaders", map[string]any{"headers": map[string]string{
		"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("operator:"+pagePassword)),
	}}, nil)
	user, event := w.troubles()

	for _, scheme := range []string{"light", "dark"} {
		b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
		for _, path := range []string{"/", "/failures", "/connections", "/devices", "/system", "/events/" + event.String() + "?show=texts", "/events/none"} {
			p.open(path)
			p.judge(scheme+" "+path, map[bool]string{true: "{}", false: `{runOnly: ["color-contrast"]}`}[scheme == "light"]) // in the dark only colours are others
		}
	}
	p.seesUpdates(user)
	p.retries(user)
	for _, complaint := range b.complaints() {
		if !strings.Contains(complaint, "/events/none") && !strings.Contains(complaint, "(Service Unavailable)") {
			t.Errorf("a page complains: %s", complaint)
		}
	}
}

// troubles makes something of everything that the page shows: a reminder that failed, a pause, accounts and devices that have ended.
func (w *world) troubles() (user, event uuid.UUID) {
	user = one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	event = w.event(user, "Choir", 2*time.Hour)
	w.untilStatus(event, "scheduled")
	w.exec(`update reminders set notify_at_ts = now() where event_id = $1 and status = 'pending'`, event)
	w.until("a failure", func() bool { return one[int](w, `select count(*)::int from reminders where status = 'failed'`) == 1 })
	other, token := w.user()
	w.exec(`update reminder_worker.google_accounts set state = 'needs_reconnect', reason = 'invalid_grant' where user_id = $1`, other)
	w.exec(`update reminder_worker.push_devices set retired_at = now(), retired_reason = 'Expo: DeviceNotRegistered' where token = $1`, token)
	w.exec(`insert into reminder_worker.pauses (part, reason) values ('calendar', 'moving house')`)
	return user, event
}

// pageUser is a person at a browser.
type pageUser struct {
	*world
	*browser
	root, axe string
}

// open goes to a page and waits until it is there.
func (p *pageUser) open(path string) {
	p.world.t.Helper()
	p.call("Page.navigate", map[string]any{"url": p.root + path}, nil)
	p.until(path, func() bool {
		return p.holds(fmt.Sprintf("document.readyState === 'complete' && location.href === %q", p.root+path))
	})
}

// judge has axe say what those who use a keyboard, a screen reader or large letters cannot use.
func (p *pageUser) judge(what, options string) {
	p.world.t.Helper()
	var found []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	script := p.axe + `; axe.run(document, ` + options + `).then((r) => r.violations)`
	if err := p.run(script, &found); err != nil {
		p.world.t.Fatalf("%s: %v", what, err)
	}
	for _, f := range found {
		p.world.t.Errorf("%s: %s: %s: %+v", what, f.ID, f.Help, f.Nodes)
	}
}

// seesUpdates waits for what has happened after the page was loaded to come by itself, unless it was told to wait.
func (p *pageUser) seesUpdates(user uuid.UUID) {
	p.open("/")
	event := p.event(user, "Flute", 3*time.Hour+30*time.Second).String()
	p.until("the new event", func() bool {
		return p.holds(fmt.Sprintf("document.querySelector('#next').textContent.includes(%q)", event[:8]))
	})
	if err := p.run(`document.getElementById("live-pause").click()`, nil); err != nil {
		p.world.t.Fatal(err)
	}
	if !p.holds(`document.getElementById("live-state").textContent === "Paused" && document.getElementById("live-pause").getAttribute("aria-pressed") === "true"`) {
		p.world.t.Error("the button does not pause")
	}
}

// retries has a failed reminder sent, once there is a phone. A machine that stands still may not have done it in time: then it is asked for again.
func (p *pageUser) retries(user uuid.UUID) {
	token := "ExponentPushToken[" + user.String() + "]"
	p.expo.Register(token)
	p.exec(`select reminder_worker.put_push_device($1, $2, 'ios')`, user, token)
	p.until("the outcome of a retry", func() bool {
		p.open("/failures")
		if p.run(`document.querySelector('form[action="/retry"] button').click()`, nil) != nil {
			return false
		}
		p.until("an answer", func() bool {
			return p.holds(`document.readyState === "complete" && (location.search !== "" || location.pathname === "/retry")`)
		})
		return p.holds(`document.querySelector('[role="status"]')?.textContent === "1 reminder due again."`)
	})
	p.until("the push", func() bool { return len(p.expo.Pushes()) == 1 })
}
