package wheel_test

import (
	"context"
	"fmt"
	"time"

	"github.com/parentpal/reminder-worker/notify/wheel"
)

func ExampleWheel() {
	w := wheel.New()
	soccer, dentist := wheel.ID{1}, wheel.ID{2}
	now := time.Now()
	w.Arm(soccer, now.Add(20*time.Millisecond))
	w.Arm(dentist, now.Add(time.Hour))
	w.Arm(dentist, now.Add(40*time.Millisecond)) // moved: the newest call wins
	w.Arm(wheel.ID{3}, now.Add(30*time.Millisecond))
	w.Disarm(wheel.ID{3})

	ctx, stop := context.WithCancel(context.Background())
	names := map[wheel.ID]string{soccer: "soccer", dentist: "dentist"}
	_ = w.Run(ctx, func(due []wheel.Entry) {
		for _, e := range due {
			fmt.Println(names[e.ID], !time.Now().Before(e.At))
		}
		if w.Len() == 0 {
			stop()
		}
	})
	// Output:
	// soccer true
	// dentist true
}
