package seal

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

var (
	her = uuid.MustParse("11111111-1111-4111-8111-111111111111")
	his = uuid.MustParse("22222222-2222-4222-8222-222222222222")
)

const token = "1//0e-a-refresh-token"

func keys(t testing.TB, texts ...string) *Keys {
	t.Helper()
	k, err := Parse(strings.Join(texts, ","))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	k := keys(t, NewKey())
	one, other := k.Seal(her, token), k.Seal(her, token)
	if one == other {
		t.Error("the same token is sealed the same twice")
	}
	for _, stored := range []string{one, other, token} {
		if got, err := k.Open(her, stored); err != nil || got != token {
			t.Errorf("open %s: %q, %v", stored, got, err)
		}
	}
	if strings.Contains(one, token) || !strings.HasPrefix(one, Prefix+"v1:"+k.KeyID()+":") {
		t.Errorf("sealed: %s", one)
	}
	if _, err := k.Open(his, one); !errors.Is(err, ErrDamaged) {
		t.Errorf("another user opens it: %v", err)
	}
	if got := k.Seal(her, ""); got != "" {
		t.Errorf("nothing is sealed as %q", got)
	}
}

// What was sealed once opens for ever. This one was made by another implementation, from the description in the package's documentation.
func TestFormatStands(t *testing.T) {
	t.Parallel()
	k := keys(t, strings.Repeat("0123456789abcdef", 4))
	const stored = "sealed:v1:a7ec8bd4:AAECAwQFBgcICQoLsCu1LWPKQyXorq9hEszK7Tyjf9u1lcHR2m9hvcFkcIa0utN03w"
	if got, err := k.Open(her, stored); err != nil || got != token {
		t.Errorf("%q, %v", got, err)
	}
}

// Any change makes it useless, and none makes it something else.
func TestEveryChangeIsNoticed(t *testing.T) {
	t.Parallel()
	k := keys(t, NewKey())
	stored := k.Seal(her, token)
	for i := len(Prefix); i < len(stored); i++ {
		for _, c := range []byte("Aa0_:") {
			changed := stored[:i] + string(c) + stored[i+1:]
			if got, err := k.Open(her, changed); changed != stored && err == nil {
				t.Fatalf("%s opens as %q", changed, got)
			}
		}
		if got, err := k.Open(her, stored[:i]); err == nil {
			t.Fatalf("%s opens as %q", stored[:i], got)
		}
	}
}

func TestKeysAreReplaced(t *testing.T) {
	t.Parallel()
	was, is := NewKey(), NewKey()
	old := keys(t, was).Seal(her, token)
	both := keys(t, is, was)
	if got, err := both.Open(her, old); err != nil || got != token {
		t.Errorf("%q, %v", got, err)
	}
	anew := both.Seal(her, token)
	if got, err := keys(t, is).Open(her, anew); err != nil || got != token {
		t.Errorf("%q, %v", got, err)
	}
	var unknown *UnknownKeyError
	if _, err := keys(t, is).Open(her, old); !errors.As(err, &unknown) || unknown.KeyID != keys(t, was).KeyID() {
		t.Errorf("%v", err)
	}
	if _, err := both.Open(her, "sealed:v2:another:way"); !errors.As(err, &unknown) || unknown.KeyID != "" || !strings.Contains(err.Error(), "this version") {
		t.Errorf("of a later version: %v", err)
	}
	if _, err := keys(t, is).Open(her, old); !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
	if !both.Knows(unknown.KeyID) || keys(t, is).Knows(unknown.KeyID) {
		t.Error("Knows is wrong about the old key")
	}
}

func TestWithoutKeys(t *testing.T) {
	t.Parallel()
	var none *Keys
	if got := none.Seal(her, token); got != token {
		t.Errorf("sealed with no key: %s", got)
	}
	if got, err := none.Open(her, token); err != nil || got != token {
		t.Errorf("%q, %v", got, err)
	}
	var unknown *UnknownKeyError
	if _, err := none.Open(her, keys(t, NewKey()).Seal(her, token)); !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
	if none.KeyID() != "" || none.String() != "no keys" {
		t.Errorf("%q, %s", none.KeyID(), none)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	raw := []byte("0123456789abcdef0123456789abcdeF")
	id := keys(t, hex.EncodeToString(raw)).KeyID()
	for _, text := range []string{
		strings.ToUpper(hex.EncodeToString(raw)), base64.StdEncoding.EncodeToString(raw), base64.URLEncoding.EncodeToString(raw),
		base64.RawURLEncoding.EncodeToString(raw), " " + base64.StdEncoding.EncodeToString(raw) + "\n",
	} {
		if got := keys(t, text).KeyID(); got != id {
			t.Errorf("%q is key %s, want %s", text, got, id)
		}
	}
	good := NewKey()
	for text, want := range map[string]string{
		"":                                      "key 1 of 1: empty",
		good + ",":                              "key 2 of 2: empty",
		good + "," + good:                       "key 2 of 2: given twice",
		"correct horse battery staple":          "key 1 of 1: neither base64 nor hexadecimal of 32 bytes",
		good[:20]:                               "key 1 of 1: 15 bytes long, and not 32",
		strings.Repeat("A", 43):                 "key 1 of 1: one byte repeated, which is no secret",
		strings.Repeat("00", 32):                "key 1 of 1: one byte repeated, which is no secret",
		strings.Repeat(NewKey()+",", 8) + "abc": "9 keys, at most 8",
	} {
		if _, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// However keys are printed, what is secret stays out.
func TestKeysPrintWithoutSecrets(t *testing.T) {
	t.Parallel()
	k := keys(t, NewKey(), NewKey())
	want := "keys " + k.ids[0] + ", " + k.ids[1]
	encoded, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), strings.Trim(string(encoded), `"`)} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// FuzzOpen: nothing that is stored makes a panic, and nothing that was not sealed with the key passes for a sealed token.
func FuzzOpen(f *testing.F) {
	k := keys(f, NewKey())
	sealed := k.Seal(her, token)
	for _, s := range []string{"", token, sealed, Prefix, version, version + k.KeyID() + ":", strings.Replace(sealed, "v1", "v2", 1), sealed + "A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, stored string) {
		got, err := k.Open(her, stored)
		switch {
		case !strings.HasPrefix(stored, Prefix):
			if err != nil || got != stored {
				t.Errorf("plain: %q, %v", got, err)
			}
		case stored != sealed && err == nil:
			t.Errorf("%q opens as %q", stored, got)
		}
	})
}

// FuzzParse: no text makes a panic, and what is read seals and opens.
func FuzzParse(f *testing.F) {
	f.Add(NewKey())
	f.Add(NewKey() + "," + NewKey())
	f.Fuzz(func(t *testing.T, text string) {
		k, err := Parse(text)
		if err != nil {
			return
		}
		if got, err := k.Open(her, k.Seal(her, token)); err != nil || got != token {
			t.Errorf("%q, %v", got, err)
		}
	})
}
