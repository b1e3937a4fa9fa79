package gcalfake_test

import (
	"fmt"
	"strings"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// A stand-alone server for people who develop against it: a port of their choice, and whatever refresh tokens they have.
func ExampleStart() {
	google, err := gcalfake.Start(gcalfake.Config{Addr: "127.0.0.1:0", OpenGrants: true})
	if err != nil {
		panic(err)
	}
	defer google.Close()
	fmt.Println("GOOGLE_CALENDAR_URL=" + strings.Replace(google.CalendarURL(), google.URL(), "http://127.0.0.1:8085", 1))
	fmt.Println("GOOGLE_TOKEN_URL=" + strings.Replace(google.TokenURL(), google.URL(), "http://127.0.0.1:8085", 1))
	// Output:
	// GOOGLE_CALENDAR_URL=http://127.0.0.1:8085/calendar/v3/
	// GOOGLE_TOKEN_URL=http://127.0.0.1:8085/token
}
