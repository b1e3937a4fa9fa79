package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
)

// What a caller sees of demo and standins when nothing can be started.
func TestDemoUsage(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	_, port, _ := net.SplitHostPort(taken)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"demo --for -1s", exitUsage, "--for -1s: is negative"},
		{"demo --for soon", exitUsage, "see reminder-worker demo --help"},
		{"demo --expo-port 99999", exitUsage, "--expo-port 99999: is not between 1 and 65535"},
		{"demo now", exitUsage, "see reminder-worker demo --help"},
		{"demo --http-port " + port, exitFailed, "--http-port " + port + ": the port is taken by another program"},
		{"standins --google " + taken + " --expo 127.0.0.1:0", exitFailed, "--google " + taken + ": the port is taken by another program"},
		{"standins --google 127.0.0.1:0 --expo " + taken, exitFailed, "--expo " + taken + ": the port is taken by another program"},
		{"standins --google foo --expo localhost:http", exitUsage, "reminder-worker: --google foo: is not host:port; one looks like 127.0.0.1:8090, or 127.0.0.1:0 for any free port\nreminder-worker: --expo localhost:http: is not host:port"},
		{"standins now", exitUsage, "see reminder-worker standins --help"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := execute(t.Context(), strings.Fields(c.args), &out, &errs)
			if code != c.code || !strings.Contains(errs.String(), c.says) {
				t.Errorf("code %d, %q; want %d, %q", code, &errs, c.code, c.says)
			}
		})
	}
}

// The stand-ins say how to point the worker at them, and end without complaint.
func TestStandinsUntilStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, errs bytes.Buffer
	code := execute(ctx, strings.Fields("standins --google 127.0.0.1:0 --expo 127.0.0.1:0"), &out, &errs)
	if code != 0 || errs.Len() > 0 {
		t.Errorf("code %d, %s", code, &errs)
	}
	for _, name := range []string{"GOOGLE_CALENDAR_URL", "GOOGLE_TOKEN_URL", "GOOGLE_REVOKE_URL", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "EXPO_PUSH_URL"} {
		if !strings.Contains(out.String(), "\nexport "+name+"=") {
			t.Errorf("no line %s=... in\n%s", name, &out)
		}
	}
}
