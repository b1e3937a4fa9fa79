package gcal

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ServiceKey is the private key of a service account; the zero one is none. However it is printed, the key stays out.
type ServiceKey struct{ rsa *rsa.PrivateKey }

// leastKeyBits is the shortest key that is signed with. Google's own have 2048.
const leastKeyBits = 1024

// ParseServiceKey reads a key as it stands under private_key in a service account's JSON: in PEM, with line breaks or the two characters
// \n in their place, and with the quotes around it or without. Its error shows nothing of the key.
func ParseServiceKey(text string) (ServiceKey, error) {
	text = strings.TrimSpace(text)
	for _, quote := range []string{`"`, `'`} {
		if inner, ok := strings.CutPrefix(text, quote); ok {
			text = strings.TrimSuffix(inner, quote)
		}
	}
	text = strings.NewReplacer(`\r`, "", `\n`, "\n", "\r", "").Replace(text)
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return ServiceKey{}, errors.New("not a PEM block; paste the whole private_key of the service account's JSON, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	if err != nil { // which may quote the key
		return ServiceKey{}, errors.New("the PEM block holds no private key; was it cut or re-wrapped?")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	switch {
	case !ok:
		return ServiceKey{}, errors.New("not an RSA key, and no service account has another: paste private_key of its JSON")
	case key.N.BitLen() < leastKeyBits:
		return ServiceKey{}, fmt.Errorf("an RSA key of %d bits, which signs nothing: paste private_key of the service account's JSON", key.N.BitLen())
	}
	return ServiceKey{key}, nil
}

// Given reports whether there is a key.
func (k ServiceKey) Given() bool { return k.rsa != nil }

// String says whether there is a key.
func (k ServiceKey) String() string {
	if !k.Given() {
		return "no key"
	}
	return "redacted key"
}

// Format makes every verb print what String says.
func (k ServiceKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText serves encoders that do not know Format.
func (k ServiceKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
