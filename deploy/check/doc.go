// Package check holds deploy to the judgement of those who will read it: Kubernetes'
// own types, kustomize, Docker's linter and Compose's loader, systemd's analysis,
// where they are on the machine. It is a module of its own, so that who builds
// reminder-worker fetches none of them; all of it is in the tests.
package check
