package gcal_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func ExampleClient_Upsert() {
	google, err := gcalfake.Start(gcalfake.Config{})
	if err != nil {
		panic(err)
	}
	defer google.Close()
	config := gcal.DefaultConfig()
	config.CalendarURL, config.TokenURL, config.RevokeURL = google.CalendarURL(), google.TokenURL(), google.RevokeURL()
	config.ClientID, config.ClientSecret = "client", "secret"
	client, err := gcal.New(config)
	if err != nil {
		panic(err)
	}
	defer client.Close()

	ctx := context.Background()
	account := gcal.Account{UserID: uuid.New(), RefreshToken: google.Grant("anna@example.com")}
	start := time.Date(2027, 3, 28, 16, 0, 0, 0, time.UTC)
	event := gcal.Event{ID: uuid.New(), Title: "Football", Start: start, End: start.Add(time.Hour)}

	// The answer to the first attempt is lost on the way, so nothing is known for the second.
	google.Fail(gcalfake.Next(1, gcalfake.OpInsert, gcalfake.Fault{Lose: true}))
	known, err := client.Upsert(ctx, account, event, gcal.Copy{})
	if e, ok := errors.AsType[*gcal.Error](err); ok {
		fmt.Println("first:", e.Kind)
	}
	known, err = client.Upsert(ctx, account, event, known)
	fmt.Println("second:", err)

	event.Title = "Football, Field 3"
	_, err = client.Upsert(ctx, account, event, known)
	fmt.Println("changed:", err)
	for _, e := range google.Events("anna@example.com") {
		fmt.Println(e.Status, e.Summary)
	}
	// Output:
	// first: retry
	// second: <nil>
	// changed: <nil>
	// confirmed Football, Field 3
}
