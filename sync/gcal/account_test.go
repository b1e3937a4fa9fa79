package gcal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

func TestAccountPrintsWithoutItsToken(t *testing.T) {
	t.Parallel()
	const token = "1//harmless-example"
	a := gcal.Account{UserID: uuid.New(), RefreshToken: token}
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", a)
		fmt.Fprintf(&b, verb+"\n", &a)
		fmt.Fprintf(&b, verb+"\n", []gcal.Account{a})
		fmt.Fprintf(&b, verb+"\n", struct{ A gcal.Account }{a})
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "account", a, "in", []gcal.Account{a})
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "account", a, "in", []gcal.Account{a})
	log := zerolog.New(&b)
	log.Info().Any("account", a).Stringer("text", a).Any("in", []gcal.Account{a}).Send()
	if err := json.NewEncoder(&b).Encode(map[string]any{"account": a}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), token) || strings.Contains(b.String(), fmt.Sprintf("%x", token)) {
		t.Errorf("the token is in the output:\n%s", b.String())
	}
	if want := "account of user " + a.UserID.String() + ", calendar primary"; a.String() != want {
		t.Errorf("prints as %q, want %q", a, want)
	}
}
