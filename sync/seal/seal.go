package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
)

// Prefix is what every sealed token begins with, and no refresh token of Google's does.
const Prefix = "sealed:"

const (
	version  = Prefix + "v1:"
	keyBytes = 32 // AES-256
	idDigits = 8
)

// The labels keep what is made from a key for one purpose from being of use for another.
const (
	idLabel    = "reminder-worker sealing key\x00"
	tokenLabel = "reminder-worker refresh token\x00"
)

// maxKeys is how many keys may be given: the present one, and those that are being replaced.
const maxKeys = 8

// Keys seal with the first of them and open with any. Nil ones seal nothing, and open what is not sealed. They are safe for concurrent use,
// and print without what is secret.
type Keys struct {
	ids   []string // in the order in which they were given
	aeads map[string]cipher.AEAD
}

// UnknownKeyError says that a token was sealed with a key that is not among the given ones.
type UnknownKeyError struct {
	// KeyID is the key's fingerprint; empty: it was sealed by a later version of this package.
	KeyID string
}

// Error names the key that is missing.
func (e *UnknownKeyError) Error() string {
	if e.KeyID == "" {
		return "the token is sealed in a way that this version does not know"
	}
	return fmt.Sprintf("the token is sealed with key %s, which is not among the given ones", e.KeyID)
}

// ErrDamaged says that a sealed token does not open although its key is there: it was changed, cut short, or is another user's.
var ErrDamaged = errors.New("the sealed token does not open: it was changed, or is another user's")

// NewKey draws a key at random, in the form that Parse reads.
func NewKey() string {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails (crypto/rand, since Go 1.24)
	return base64.StdEncoding.EncodeToString(key)
}

// Parse reads keys, separated by commas, of 32 bytes each in base64 or hexadecimal. Its errors tell the place of a faulty key and not the key.
func Parse(text string) (*Keys, error) {
	k := &Keys{aeads: map[string]cipher.AEAD{}}
	parts := strings.Split(text, ",")
	if len(parts) > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d", len(parts), maxKeys)
	}
	for i, part := range parts {
		key, err := decode(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("key %d of %d: %w", i+1, len(parts), err)
		}
		id := fingerprint(key)
		if _, found := k.aeads[id]; found {
			return nil, fmt.Errorf("key %d of %d: given twice", i+1, len(parts))
		}
		if k.aeads[id], err = newAEAD(key); err != nil {
			return nil, fmt.Errorf("key %d of %d: %w", i+1, len(parts), err)
		}
		k.ids = append(k.ids, id)
	}
	return k, nil
}

// decode reads one key in any of the forms in which 32 bytes are usually written.
func decode(text string) ([]byte, error) {
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != keyBytes {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		key, err = base64.RawStdEncoding.Strict().DecodeString(plain)
	}
	switch {
	case text == "":
		return nil, errors.New("empty")
	case err != nil:
		return nil, fmt.Errorf("neither base64 nor hexadecimal of %d bytes", keyBytes)
	case len(key) != keyBytes:
		return nil, fmt.Errorf("%d bytes long, and not %d", len(key), keyBytes)
	case bytes.Count(key, key[:1]) == keyBytes:
		return nil, errors.New("one byte repeated, which is no secret")
	}
	return key, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// fingerprint is the key's id.
func fingerprint(key []byte) string {
	sum := sha256.Sum256(append([]byte(idLabel), key...))
	return hex.EncodeToString(sum[:])[:idDigits]
}

// KeyID is the fingerprint of the key that seals, empty if there is none.
func (k *Keys) KeyID() string {
	if k == nil {
		return ""
	}
	return k.ids[0]
}

// Knows reports whether a key is among the given ones.
func (k *Keys) Knows(keyID string) bool {
	if k == nil {
		return false
	}
	_, found := k.aeads[keyID]
	return found
}

// Seal is the user's token as it is to be stored. An empty one stays empty, and without keys every one stays as it is.
func (k *Keys) Seal(user uuid.UUID, token string) string {
	if k == nil || token == "" {
		return token
	}
	id := k.ids[0]
	box := k.aeads[id].Seal(nil, nil, []byte(token), associated(user)) //nolint:gosec // no nonce is given: it draws one
	return version + id + ":" + base64.RawURLEncoding.EncodeToString(box)
}

// Open is the user's token from what is stored. Its error is *UnknownKeyError or ErrDamaged.
func (k *Keys) Open(user uuid.UUID, stored string) (string, error) {
	id, data, sealed := split(stored)
	switch {
	case !sealed:
		return stored, nil
	case id == "", !k.Knows(id):
		return "", &UnknownKeyError{KeyID: id}
	}
	box, err := base64.RawURLEncoding.Strict().DecodeString(data)
	if err != nil {
		return "", ErrDamaged
	}
	token, err := k.aeads[id].Open(nil, nil, box, associated(user))
	if err != nil {
		return "", ErrDamaged
	}
	return string(token), nil
}

// KeyOf tells whether a token is stored sealed, and with which key; one that is sealed in no known way has no key.
func KeyOf(stored string) (keyID string, sealed bool) {
	keyID, _, sealed = split(stored)
	return keyID, sealed
}

// split takes a sealed token apart. One that is sealed, and not as this package does it, has no data.
func split(stored string) (id, data string, sealed bool) {
	if !strings.HasPrefix(stored, Prefix) {
		return "", "", false
	}
	rest, known := strings.CutPrefix(stored, version)
	id, data, whole := strings.Cut(rest, ":")
	if !known || !whole || len(id) != idDigits || strings.Trim(id, "0123456789abcdef") != "" {
		return "", "", true
	}
	return id, data, true
}

// associated is what a token is bound to.
func associated(user uuid.UUID) []byte { return append([]byte(tokenLabel), user[:]...) }

// String tells the keys by their fingerprints.
func (k *Keys) String() string {
	if k == nil {
		return "no keys"
	}
	return "keys " + strings.Join(k.ids, ", ")
}

// Format makes every verb print what String says.
func (k *Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText serves encoders that do not know Format.
func (k *Keys) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
