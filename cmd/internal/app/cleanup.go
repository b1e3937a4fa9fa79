package app

import (
	"context"

	"github.com/parentpal/reminder-worker/sql/cleanup"
)

// CleanupReport is what became of a cleanup.
type CleanupReport = cleanup.Report

// CleanupProgress is how far one has come.
type CleanupProgress = cleanup.Progress

// CleanupKinds are the kinds of rows that it tells of, in order.
func CleanupKinds() []string { return cleanup.Kinds() }

// cleanupShare is the share of its time that a cleanup works which somebody waits for.
const cleanupShare = 0.5

// Cleanup removes old rows now, or with dryRun counts them. It migrates nothing.
func (a *App) Cleanup(ctx context.Context, dryRun bool, progress func(CleanupProgress)) (CleanupReport, error) {
	defer a.close()
	if err := a.attach(ctx); err != nil {
		return CleanupReport{}, err
	}
	return a.cleaner.Clean(ctx, cleanup.Options{DryRun: dryRun, Share: cleanupShare, Progress: progress})
}
