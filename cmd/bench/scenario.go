package bench

import (
	"context"
	"fmt"
	"runtime"
)

// scenario is one thing that is measured, in one case or several.
type scenario struct {
	name string
	// Paced keeps to the limits of the services.
	paced bool
	cases func(Size) []string
	// expects is how many calls a service will get.
	expects func(Size, int) int
	run     func(ctx context.Context, r *rig, s Size, i int) (Result, error)
}

var scenarios = []scenario{
	{
		"pickup", false,
		func(s Size) []string { return []string{fmt.Sprintf("%d/s", s.PickupRate)} },
		func(s Size, _ int) int { return s.PickupRate * int(s.PickupFor.Seconds()) },
		func(ctx context.Context, r *rig, s Size, _ int) (Result, error) {
			return r.pickup(ctx, s, s.PickupRate, s.PickupFor, 1)
		},
	},
	{
		"drain", false,
		func(s Size) []string { return counts(s.Drain, " events") },
		func(s Size, i int) int { return s.Drain[i] },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) { return r.drain(ctx, s.Drain[i]) },
	},
	{
		"sustained", false,
		func(s Size) []string { return counts(s.Sustained, "/s") },
		func(s Size, i int) int { return s.Sustained[i] * int(s.SustainedFor.Seconds()) },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) {
			return r.pickup(ctx, s, s.Sustained[i], s.SustainedFor, writers)
		},
	},
	{
		"lateness", false,
		func(s Size) []string { return counts(s.Lateness, " reminders") },
		func(s Size, i int) int { return s.Lateness[i] },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) {
			return r.lateness(ctx, s, s.Lateness[i], s.LatenessFor)
		},
	},
	{
		"herd", false,
		func(s Size) []string { return counts([]int{s.Herd}, " reminders") },
		func(s Size, _ int) int { return s.Herd },
		func(ctx context.Context, r *rig, s Size, _ int) (Result, error) { return r.herd(ctx, s, s.Herd) },
	},
	{
		"paced herd", true,
		func(s Size) []string { return counts([]int{s.PacedHerd}, " reminders") },
		func(s Size, _ int) int { return s.PacedHerd },
		func(ctx context.Context, r *rig, s Size, _ int) (Result, error) {
			return r.pacedHerd(ctx, s, s.PacedHerd)
		},
	},
	{
		"rebuild", false,
		func(s Size) []string {
			labels := counts(s.Rebuild, " reminders")
			if s.Far > 0 {
				labels[len(labels)-1] += fmt.Sprintf(" of %d", s.Far+s.Rebuild[len(s.Rebuild)-1])
			}
			return labels
		},
		func(Size, int) int { return 0 },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) {
			far := 0
			if i == len(s.Rebuild)-1 {
				far = s.Far
			}
			return r.rebuild(ctx, s.Starts, s.Rebuild[i], far)
		},
	},
	{
		"idle", false,
		func(Size) []string { return []string{""} },
		func(Size, int) int { return 0 },
		func(ctx context.Context, r *rig, s Size, _ int) (Result, error) { return r.idle(ctx, s, s.IdleFor) },
	},
	{
		"growth", false,
		func(s Size) []string { return counts(s.Growth, " old rows") },
		func(s Size, _ int) int { return s.PickupRate * int(s.PickupFor.Seconds()) },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) { return r.growth(ctx, s, s.Growth[i]) },
	},
	{
		cleanupName, false,
		func(s Size) []string { return counts([]int{s.Cleanup}, " old events") },
		func(s Size, _ int) int { return 2 * s.CleanupReminders },
		func(ctx context.Context, r *rig, s Size, _ int) (Result, error) { return r.cleanup(ctx, s, s.Cleanup) },
	},
}

// cleanupName is that of the scenario in which not every worker has a part.
const cleanupName = "cleanup"

// ScenarioNames are those that Config.Only may name.
func ScenarioNames() (names []string) {
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// counts labels cases that differ by a number.
func counts(numbers []int, unit string) (labels []string) {
	for _, n := range numbers {
		labels = append(labels, fmt.Sprintf("%d%s", n, unit))
	}
	return labels
}

// writers are the app's connections.
const writers = 8

func processors() int { return runtime.NumCPU() }
