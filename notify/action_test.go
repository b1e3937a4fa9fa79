package notify

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// action is one signal of Expo's and what it must lead to. Two families have a reminder due at the same instant, so both are in one request:
// hers, whose phone the signal is about where it is about one, and his, which must not suffer.
type action struct {
	signal  string
	world   func(*expofake.Config)
	config  func(*Config)
	arrange func(w *world, her string) // before anything is sent
	mend    func(w *world, her string) // once the signal has done its worst
	// worst is how her reminder stands until it is mended: state, attempts, error message by prefix. Empty: nothing stands long enough to be seen.
	worst string
	// end is how it stands in the end, device how her phone does ("live", or the reason why it was retired), delivery how her delivery does.
	end, device, delivery string
	// requests and pushes are how many requests to send were made, and how many pushes her phone was accepted for. requests -1: not counted,
	// where it depends on how often is tried until it is mended.
	requests, pushes int
	alarm            bool
	others           int  // more reminders of others' in the same request
	traffic          bool // others' go out all the while
	first            bool // something is sent before
}

const (
	sentAtOnce = "sent, 0 tries, -"
	refusedHer = "ExponentPushToken[her…]: "
)

// once gives the first request to send a fault.
func once(fault *expofake.Fault) func(*world, string) {
	return func(w *world, _ string) { w.expo.Fail(expofake.Once(expofake.SendEndpoint, 1, fault)) }
}

// always gives every request to send a fault.
func always(fault *expofake.Fault) func(*world, string) {
	return func(w *world, _ string) {
		w.expo.Fail(func(r expofake.Request) *expofake.Fault {
			if r.Endpoint != expofake.SendEndpoint {
				return nil
			}
			return fault
		})
	}
}

func noFault(w *world, _ string) { w.expo.Fail(nil) }
func ticket(code string) func(*world, string) {
	return func(w *world, her string) { w.expo.RefuseTicket(her, code) }
}
func receipt(code string) func(*world, string) {
	return func(w *world, her string) { w.expo.RefuseReceipt(her, code) }
}
func holding(fault *expofake.Fault) func(*world, string) {
	return func(w *world, her string) {
		w.expo.Fail(func(r expofake.Request) *expofake.Fault {
			if r.Endpoint == expofake.SendEndpoint && strings.Contains(strings.Join(r.Tokens, " "), her) {
				return fault
			}
			return nil
		})
	}
}

// whole are the faults of a request as a whole: nothing is held against anybody, and all goes out when it is over. The first request has
// both; then one is tried, then the other.
func whole(signal string, fault *expofake.Fault, pushes int) action {
	return action{
		signal: signal, arrange: once(fault), end: sentAtOnce, device: "live", delivery: "delivered", requests: 3, pushes: pushes,
	}
}

// refusal is a fault of our own account: the same, and an alarm.
func refusal(signal string, fault *expofake.Fault) action {
	return action{
		signal: signal, arrange: always(fault), worst: "pending, 0 tries, " + refusedHer, mend: noFault, end: sentAtOnce, device: "live",
		delivery: "delivered", requests: -1, pushes: 1, alarm: true,
	}
}

var actions = []action{
	{signal: "all is well", end: sentAtOnce, device: "live", delivery: "delivered", requests: 1, pushes: 1},

	whole("no connection", expofake.Drop(), 1),
	whole("no answer to what was taken", expofake.DropAfter(), 2),
	whole("408", expofake.Status(408, ""), 1),
	whole("500", expofake.Refuse(500, "INTERNAL_SERVER_ERROR"), 1),
	whole("502 of a gateway", expofake.Status(502, "upstream connect error"), 1),
	whole("503", expofake.Status(503, "no healthy upstream"), 1),
	whole("504 of a gateway", expofake.Gateway(), 1),
	whole("504 of a gateway, and taken", expofake.GatewayAfter(), 2),
	whole("429", expofake.Refuse(429, "TOO_MANY_REQUESTS"), 1),
	whole("429 of a gateway", expofake.Status(429, "slow down"), 1),
	whole("errors with 200", expofake.ErrorsWith200("API_ERROR"), 1),
	whole("a page with 200", expofake.CaptivePortal(), 1),
	whole("nothing with 200", expofake.Empty(), 1),
	whole("half an answer, and taken", expofake.Truncated(), 2),
	{
		// Expo has taken them, and would again: an attempt is used.
		signal: "too many tickets", arrange: once(expofake.WrongCount(1)), end: "sent, 1 tries, -", device: "live", delivery: "delivered", requests: 3, pushes: 2,
	},
	{
		signal: "no tickets", arrange: once(expofake.WrongCount(-2)), end: "sent, 1 tries, -", device: "live", delivery: "delivered", requests: 3, pushes: 2,
	},

	refusal("401 UNAUTHORIZED", expofake.Refuse(401, "UNAUTHORIZED")),
	refusal("403", expofake.Status(403, "")),
	refusal("invalid_token", expofake.BadAccessToken()),
	refusal("invalid_token with 400", expofake.Status(400, `{"error":"invalid_token","error_description":"The bearer token is invalid"}`)),
	refusal("UNAUTHORIZED with 200", expofake.ErrorsWith200("UNAUTHORIZED")),
	{
		signal: "everything refused for what it is", arrange: always(expofake.Refuse(400, "VALIDATION_ERROR")), worst: "pending, 0 tries, " + refusedHer, mend: noFault,
		end: sentAtOnce, device: "live", delivery: "delivered", requests: -1, pushes: 1, alarm: true, others: 4,
	},
	{
		// The same after something was taken: nothing fails for it, and few requests are made.
		signal: "everything refused, after a success", arrange: func(w *world, _ string) {
			w.expo.Fail(func(r expofake.Request) *expofake.Fault {
				if r.Endpoint == expofake.SendEndpoint && r.Number > 1 {
					return expofake.Refuse(400, "VALIDATION_ERROR")
				}
				return nil
			})
		}, first: true, worst: "pending, 0 tries, " + refusedHer, mend: noFault,
		end: sentAtOnce, device: "live", delivery: "delivered", requests: -1, pushes: 1, alarm: true, others: 4,
	},

	{
		// Refused alone while others go through: each time is an attempt, for it may be a gateway's mood.
		signal: "her message refused with 400", arrange: holding(expofake.Refuse(400, "VALIDATION_ERROR")), traffic: true,
		end: "failed, 5 tries, gave up after 5 attempts: " + refusedHer + "expo: status 400: VALIDATION_ERROR", device: "live", delivery: "failed", requests: -1,
	},
	{
		signal: "her message refused with 413", arrange: holding(expofake.TooLarge()), traffic: true,
		end: "failed, 5 tries, gave up after 5 attempts: " + refusedHer + "expo: status 413", device: "live", delivery: "failed", requests: -1,
	},
	{
		// It may be hers or everybody's, until others' go through: then hers is tried alone, and each time counts.
		signal: "500 for her message", arrange: holding(expofake.Refuse(500, "INTERNAL_SERVER_ERROR")), traffic: true,
		end: "failed, 5 tries, gave up after 5 attempts: " + refusedHer + "expo: status 500", device: "live", delivery: "failed", requests: -1,
	},
	{
		signal: "her phone is of another project", arrange: func(w *world, her string) { w.expo.Assign("@other/app", her) },
		end: sentAtOnce, device: "live", delivery: "delivered", requests: 3, pushes: 1,
	},
	{
		signal: "her phone is of another project, which our access token does not serve",
		world:  func(c *expofake.Config) { c.AccessToken = "secret" }, config: func(c *Config) { c.Project = expofake.DefaultProject },
		arrange: func(w *world, her string) { w.expo.Assign("@other/app", her) },
		end:     "failed, 0 tries, " + refusedHer + "expo: status 401: UNAUTHORIZED", device: "Expo project @other/app: UNAUTHORIZED", delivery: "failed", requests: 3,
	},
	{
		// Nobody has said which project is ours: it may be hers that is.
		signal: "the same, and EXPO_PROJECT is not set",
		world:  func(c *expofake.Config) { c.AccessToken = "secret" }, arrange: func(w *world, her string) { w.expo.Assign("@other/app", her) },
		worst: "pending, 0 tries, " + refusedHer + "expo: status 401: UNAUTHORIZED", mend: func(w *world, her string) { w.expo.Assign(expofake.DefaultProject, her) },
		end: sentAtOnce, device: "live", delivery: "delivered", requests: -1, pushes: 1,
	},

	{
		signal: "ticket DeviceNotRegistered", arrange: ticket("DeviceNotRegistered"),
		end: "failed, 0 tries, " + refusedHer + "expo: DeviceNotRegistered", device: "Expo: DeviceNotRegistered", delivery: "failed", requests: 1,
	},
	{
		signal: "ticket MessageTooBig", arrange: ticket("MessageTooBig"),
		end: "failed, 0 tries, " + refusedHer + "expo: MessageTooBig", device: "live", delivery: "failed", requests: 1,
	},
	retried("ticket MessageRateExceeded", "MessageRateExceeded"),
	retried("ticket ExpoError", "ExpoError"),
	retried("ticket ProviderError", "ProviderError"),
	retried("ticket of no known word", "SomethingNew"),
	waiting("ticket InvalidCredentials", ticket, "InvalidCredentials"),
	waiting("ticket MismatchSenderId", ticket, "MismatchSenderId"),
	waiting("ticket DeveloperError", ticket, "DeveloperError"),

	{
		signal: "receipt DeviceNotRegistered", arrange: receipt("DeviceNotRegistered"),
		end: "failed, 0 tries, no device took it: " + refusedHer + "expo: DeviceNotRegistered", device: "Expo: DeviceNotRegistered", delivery: "failed", requests: 1, pushes: 1,
	},
	{
		signal: "receipt MessageTooBig", arrange: receipt("MessageTooBig"),
		end: "failed, 0 tries, no device took it: " + refusedHer + "expo: MessageTooBig", device: "live", delivery: "failed", requests: 1, pushes: 1,
	},
	again5("receipt MessageRateExceeded", "MessageRateExceeded"),
	again5("receipt ExpoError", "ExpoError"),
	again5("receipt ProviderError", "ProviderError"),
	again5("receipt of no known word", "SomethingNew"),
	waiting("receipt InvalidCredentials", receipt, "InvalidCredentials"),
	waiting("receipt MismatchSenderId", receipt, "MismatchSenderId"),
	waiting("receipt DeveloperError", receipt, "DeveloperError"),
	{
		signal: "no receipt until they are forgotten", world: func(c *expofake.Config) { c.ReceiptDelay = time.Hour },
		end: sentAtOnce, device: "live", delivery: "unknown", requests: 1, pushes: 1,
	},
}

// retried is a ticket's word that may be another the next time: five attempts, to her phone alone.
func retried(signal, code string) action {
	return action{
		signal: signal, arrange: ticket(code), end: "failed, 5 tries, gave up after 5 attempts: " + refusedHer + "expo: " + code,
		device: "live", delivery: "failed", requests: 5,
	}
}

// again5 is the same in a receipt: accepted five times, delivered never.
func again5(signal, code string) action {
	return action{
		signal: signal, arrange: receipt(code), end: "failed, 4 tries, no device took it: " + refusedHer + "expo: " + code,
		device: "live", delivery: "failed", requests: 5, pushes: 5,
	}
}

// waiting is a fault of ours that shows on single phones: it is tried again for as long as it takes, and no attempt is used.
func waiting(signal string, refuse func(string) func(*world, string), code string) action {
	return action{
		signal: signal, arrange: refuse(code), worst: "pending, 0 tries, " + refusedHer + "expo: " + code, mend: refuse(""),
		end: sentAtOnce, device: "live", delivery: "delivered", requests: -1, pushes: -1, alarm: true,
	}
}

// TestActionTable goes through every signal that Expo can give, in answer, ticket and receipt.
func TestActionTable(t *testing.T) {
	t.Parallel()
	for _, a := range actions {
		t.Run(a.signal, func(t *testing.T) {
			t.Parallel()
			a.test(t)
		})
	}
}

func (a action) test(t *testing.T) {
	var change []func(*expofake.Config)
	if a.world != nil {
		change = append(change, a.world)
	}
	w := newWorld(t, change...)
	if a.config != nil {
		a.config(&w.cfg)
	}
	w.cfg.ReceiptLimit = max(w.cfg.ReceiptDelay, 150*time.Millisecond)
	if a.delivery != "unknown" {
		w.cfg.ReceiptLimit = 24 * time.Hour
	}
	her, his := "ExponentPushToken[her-"+uuid.NewString()+"]", "ExponentPushToken[his-"+uuid.NewString()+"]"
	if a.arrange != nil {
		a.arrange(w, her)
	}
	var s *Sender
	if a.first {
		w.reminderOn("ExponentPushToken[first]")
		s, _ = w.start()
		w.untilTrue(`status = 'sent' from reminders`)
	}
	hers, his1 := w.reminderIn(her, time.Hour), w.reminderIn(his, time.Hour)
	for n := range a.others {
		w.reminderIn(fmt.Sprintf("ExponentPushToken[other-%d]", n), time.Hour)
	}
	w.exec(`update reminders set notify_at_ts = now() where status = 'pending'`) // all in one request
	if s == nil {
		s, _ = w.start()
	}
	w.sweep(s)
	if a.traffic {
		w.traffic()
	}
	if a.worst != "" {
		w.until(a.worst, func() bool { return strings.HasPrefix(w.reminder(hers), a.worst) })
		if a.alarm {
			w.until("an alarm", func() bool { return s.Alarm() != "" }) // which may come a moment after the row says it
		}
		if n := w.expo.Counts().Requests; n > 40 {
			t.Errorf("%d requests to find out", n)
		}
		a.mend(w, her)
	}
	w.untilTrue(`exists (select from reminder_worker.deliveries where token = $1 and state = $2)`, her, a.delivery)
	w.until(a.end, func() bool { return strings.HasPrefix(w.reminder(hers), a.end) })
	if strings.Contains(w.reminder(hers), her) {
		t.Errorf("her token is shown: %s", w.reminder(hers))
	}
	if got := one[string](w, `select coalesce(retired_reason, 'live') from reminder_worker.push_devices where token = $1`, her); got != a.device {
		t.Errorf("her phone is %q, want %q", got, a.device)
	}
	// His reminder goes out whatever becomes of hers.
	w.untilStatus(his1, "sent")
	a.count(w, hers)
	if alarm := s.Alarm(); !a.alarm && alarm != "" {
		t.Errorf("alarm for what is no fault of ours: %s", alarm)
	}
	if got := one[string](w, `select coalesce(retired_reason, 'live') from reminder_worker.push_devices where token = $1`, his); got != "live" {
		t.Errorf("his phone is %q", got)
	}
	if n := len(w.expo.Shown(his)); n != 1 {
		t.Errorf("his phone shows %d", n)
	}
}

// count compares requests and pushes.
func (a action) count(w *world, hers uuid.UUID) {
	w.t.Helper()
	if n := w.expo.Counts().Requests; a.requests >= 0 && n != a.requests {
		w.t.Errorf("%d requests, want %d", n, a.requests)
	}
	if n := len(w.pushesOf(hers)); a.pushes >= 0 && n != a.pushes {
		w.t.Errorf("%d pushes of hers were accepted, want %d", n, a.pushes)
	}
}

// reminderOn makes a user with this phone, and a reminder of theirs that is due.
func (w *world) reminderOn(token string) uuid.UUID {
	w.t.Helper()
	return w.reminderIn(token, 0)
}

func (w *world) reminderIn(token string, in time.Duration) uuid.UUID {
	w.t.Helper()
	user, _ := w.user(0)
	w.register(user, token)
	return w.own(user, in)
}

// traffic has a reminder of others fall due every few milliseconds, until the test ends.
func (w *world) traffic() {
	user, _ := w.user(1)
	event := w.event(user, 5*time.Hour)
	w.repeatedly(30*time.Millisecond, func() {
		// A failure shows in what the test waits for.
		_, _ = w.pool.Exec(context.Background(), `insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, clock_timestamp(), 'traffic')`, event, user)
	})
}
