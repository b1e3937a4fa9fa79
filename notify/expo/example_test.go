package expo_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

func ExampleClient_Send() {
	server, err := expofake.Start(expofake.DefaultConfig()) // Expo itself needs no server: DefaultConfig knows it
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := expo.DefaultConfig()
	config.URL = server.URL()
	client, err := expo.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	const reminder = "0b6c1a52-8f1e-4c39-9d0a-5f0e6f1f2a10"
	tickets, err := client.Send(context.Background(), []expo.Message{
		{
			To: "ExponentPushToken[grandmas-phone]", Title: "Soccer in 30 minutes", Body: "Today 16:00 · Field 3",
			Priority: expo.PriorityHigh, Sound: expo.DefaultSound, CollapseID: reminder, Tag: reminder,
		},
		{To: "not a token", Title: "Soccer in 30 minutes"},
	})
	if e, ok := errors.AsType[*expo.Error](err); ok {
		fmt.Println("nothing was sent:", e.Kind)
		return
	}
	for i, ticket := range tickets {
		if ticket.Err != nil {
			fmt.Println(i, ticket.Err.Kind, "-", ticket.Err)
			continue
		}
		fmt.Println(i, "accepted")
	}
	fmt.Println("the phone shows:", server.Shown("ExponentPushToken[grandmas-phone]")[0].Title)
	// Output:
	// 0 accepted
	// 1 device_gone - expo: INVALID_TOKEN: not an Expo push token
	// the phone shows: Soccer in 30 minutes
}

func ExampleMask() {
	fmt.Println(expo.Mask("ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]"))
	// Output: ExponentPushToken[xxx…]
}
