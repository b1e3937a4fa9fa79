package gcal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := gcal.New(gcal.Config{
		CalendarURL: "www.googleapis.com", TokenURL: "https:///token", RevokeURL: "https://user:hunter2@example.com/revoke?x=1",
		Timeout: time.Millisecond,
	})
	if err == nil {
		t.Fatal("a configuration full of faults is accepted")
	}
	for _, want := range []string{
		"calendar url must begin with", "token url has no host", "revoke url must not have a query", "client id is empty",
		"client secret is empty", "timeout 1ms is outside", "max conns per host 0", "max accounts 0",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an address is repeated:\n%v", err)
	}
}

func TestAddressWithAPasswordIsRefused(t *testing.T) {
	t.Parallel()
	c := gcal.DefaultConfig()
	c.ClientID, c.ClientSecret, c.TokenURL = "client", "secret", "https://user:hunter2@example.com/token"
	if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("validated as %v", err)
	}
}

func TestConfigPrintsWithoutItsSecret(t *testing.T) {
	t.Parallel()
	c := gcal.DefaultConfig()
	c.ClientID, c.ClientSecret = "client", "hunter2"
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", &c), fmt.Sprintf("%#v", []gcal.Config{c}), string(text)} {
		if strings.Contains(got, "hunter2") || !strings.Contains(got, "https://oauth2.googleapis.com/token") {
			t.Errorf("prints as %s", got)
		}
	}
}

func TestDefaultConfigLacksOnlyTheClient(t *testing.T) {
	t.Parallel()
	c := gcal.DefaultConfig()
	if c.Validate() == nil {
		t.Error("a configuration without an OAuth client is accepted")
	}
	c.ClientID, c.ClientSecret = "client", "secret"
	if err := c.Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
}
