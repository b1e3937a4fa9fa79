package main

import "testing"

func TestHealthAddress(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080/livez",
		":8080":          "http://127.0.0.1:8080/livez",
		"0.0.0.0:8080":   "http://127.0.0.1:8080/livez",
		"[::]:8080":      "http://[::1]:8080/livez",
		"[fd00::1]:80":   "http://[fd00::1]:80/livez",
		"worker:8080":    "http://worker:8080/livez",
		"off":            "",
		"":               "",
		"127.0.0.1:0":    "",
		"127.0.0.1:":     "",
	} {
		got, err := healthAddress(addr, "/livez")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", addr, got, err, want)
		}
	}
}
