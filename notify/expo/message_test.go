package expo_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/notify/expo"
)

const bare = "1f2e3d4c-aaaa-bbbb-cccc-0123456789ab"

func TestValidToken(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]bool{
		"ExponentPushToken[abcdefghijklmnopqrstuv]": true,
		"ExpoPushToken[abc-_12]":                    true,
		bare:                                        true,
		"ExponentPushToken[]":                       false,
		"ExponentPushToken[abc":                     false,
		"ExponentPushToken[a b]":                    false,
		"ExponentPushToken[a\nb]":                   false,
		"ExponentPushToken[a]b]":                    false,
		"exponentpushtoken[abc]":                    false,
		" ExponentPushToken[abc]":                   false,
		bare + "0":                                  false,
		"":                                          false,
	} {
		if got := expo.ValidToken(token); got != want {
			t.Errorf("ValidToken(%q) = %v", token, got)
		}
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		"ExponentPushToken[abcdef]": "ExponentPushToken[abc…]",
		"ExpoPushToken[abcdef]":     "ExpoPushToken[abc…]",
		"ExponentPushToken[abc…]":   "ExponentPushToken[abc…]",
		"ExponentPushToken[ab]":     "ExponentPushToken[…]",
		bare:                        "1f2…",
		"":                          "",
	} {
		if got := expo.Mask(token); got != want {
			t.Errorf("Mask(%q) = %q, want %q", token, got, want)
		}
	}
}

// TestNothingPrintsSecrets prints in all the ways in which a log might.
func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	config := expo.DefaultConfig()
	config.AccessToken = "hush-hush"
	m := expo.Message{To: "ExponentPushToken[abcdef]", Title: "Doctor", Body: "Room 7"}
	e := &expo.Error{Code: "X", Details: json.RawMessage(`{"expoPushToken":"ExponentPushToken[abcdef]"}`)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		out := fmt.Sprintf(strings.Repeat(verb+" ", 4), config, m, []expo.Message{m}, e)
		for _, secret := range []string{"hush-hush", "abcdef", "Doctor", "Room 7"} {
			if strings.Contains(out, secret) {
				t.Errorf("%s shows %q: %s", verb, secret, out)
			}
		}
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	if err := expo.DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults are invalid: %v", err)
	}
	bad := expo.Config{URL: "ftp://user:pass@push", AccessToken: "two words", Timeout: -time.Second}
	err := bad.Validate()
	if err == nil {
		t.Fatal("all three faults went unnoticed")
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != 3 {
		t.Errorf("%d faults reported, want 3: %v", got, err)
	}
	if strings.Contains(err.Error(), "two words") || strings.Contains(err.Error(), "pass") {
		t.Errorf("error shows a secret: %v", err)
	}
	for _, address := range []string{"", "exp.host", "http://", "https://u:p@exp.host", "https://exp.host/?a=b", "http://a b"} {
		if (expo.Config{URL: address, Timeout: 1}).Validate() == nil {
			t.Errorf("url %q was accepted", address)
		}
	}
}

// TestMessageJSON compares with what Expo's interface wants, zero values above all.
func TestMessageJSON(t *testing.T) {
	t.Parallel()
	zero, score := 0, 0.5
	tests := []struct {
		name string
		in   expo.Message
		want string
	}{
		{"least", expo.Message{To: "t"}, `{"to":"t"}`},
		{"clear badge", expo.Message{To: "t", Badge: &zero, TTL: &zero}, `{"to":"t","badge":0,"ttl":0}`},
		{"sound", expo.Message{To: "t", Sound: expo.DefaultSound}, `{"to":"t","sound":"default"}`},
		{
			"critical sound", expo.Message{To: "t", Sound: expo.Sound{Name: "bell", Critical: true, Volume: 0.5}},
			`{"to":"t","sound":{"critical":true,"name":"bell","volume":0.5}}`,
		},
		{
			"rest", expo.Message{
				To: "t", Title: "a", Subtitle: "b", Body: "c", Data: json.RawMessage(`{"d":1}`), Icon: "e",
				RichContent: &expo.RichContent{Image: "f"}, Expiration: 7, Priority: expo.PriorityHigh,
				InterruptionLevel: expo.InterruptionTimeSensitive, ChannelID: "g", CategoryID: "h", CollapseID: "i",
				Tag: "j", ThreadID: "k", MutableContent: true, ContentAvailable: true, TargetContentID: "l",
				RelevanceScore: &score, FilterCriteria: "m",
			},
			`{"to":"t","title":"a","subtitle":"b","body":"c","data":{"d":1},"icon":"e","richContent":{"image":"f"},` +
				`"expiration":7,"priority":"high","interruptionLevel":"time-sensitive","channelId":"g","categoryId":"h",` +
				`"collapseId":"i","tag":"j","threadId":"k","mutableContent":true,"contentAvailable":true,` +
				`"targetContentId":"l","relevanceScore":0.5,"filterCriteria":"m"}`,
		},
	}
	for _, tt := range tests {
		raw, err := json.Marshal(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, string(raw)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
