package demo

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestStandins(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out output
	ended := make(chan error, 1)
	started := out.came("Ctrl-C")
	go func() {
		ended <- RunStandins(ctx, StandinsConfig{Google: "127.0.0.1:0", Expo: "127.0.0.1:0", Out: &out})
	}()
	select {
	case <-started:
	case err := <-ended:
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		if name, value, ok := strings.Cut(line, "="); ok {
			env[name] = value
		}
	}
	ask(t, env["GOOGLE_TOKEN_URL"], "application/x-www-form-urlencoded", url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {"any"},
		"client_id": {env["GOOGLE_CLIENT_ID"]}, "client_secret": {env["GOOGLE_CLIENT_SECRET"]},
	}.Encode())
	ask(t, env["EXPO_PUSH_URL"]+"/send", "application/json", `{"to": "ExponentPushToken[any-phone]", "title": "Soccer", "body": "Today"}`)
	ask(t, env["EXPO_PUSH_URL"]+"/getReceipts", "application/json", `{"ids": ["a", "b"]}`)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"google  token    200", "expo    send     1 recipient\n",
		`expo    push     ExponentPushToken[any-phone]: "Soccer" "Today"`, "expo    receipts 2 receipts asked for",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line with %q in\n%s", want, &out)
		}
	}
}

func ask(t *testing.T, address, contentType, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Close = true // no connection is to stay open behind the test
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("%s answers %s", address, answer.Status)
	}
}

func TestStandinsPortTaken(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	for _, c := range []struct{ google, expo, want string }{
		{taken, "127.0.0.1:0", "--google " + taken + ": the port is taken by another program; choose another, or 0 for any free one"},
		{"127.0.0.1:0", taken, "--expo " + taken + ": the port is taken by another program; choose another, or 0 for any free one"},
	} {
		err := RunStandins(t.Context(), StandinsConfig{Google: c.google, Expo: c.expo, Out: new(output)})
		if err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}
