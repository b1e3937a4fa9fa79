package app

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// redacted stands for a secret that is set.
const redacted = "redacted"

// printable lists the variables with their values as they may be seen: in place of a secret, whether it is set.
func (c Config) printable() map[string]string {
	shown := map[string]string{}
	v := reflect.ValueOf(c)
	for name, f := range fields(func(reflect.StructField) bool { return true }) {
		text := fmt.Sprint(v.FieldByIndex(f.Index).Interface())
		if f.Tag.Get("secret") != "" && text != "" {
			text = redacted
		}
		shown[name] = withoutUser(text)
	}
	return shown
}

// withoutUser takes user and password out of an address. They have no business there, and may be there all the same.
func withoutUser(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return redacted
	}
	u.User = url.User(redacted)
	return u.String()
}

// String lists the variables that are set, without secrets.
func (c Config) String() string {
	shown := c.printable()
	var words []string
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		if shown[name] != "" {
			words = append(words, name+"="+shown[name])
		}
	}
	return "{" + strings.Join(words, " ") + "}"
}

// Format keeps every verb of package fmt from showing secrets.
func (c Config) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// MarshalJSON keeps loggers from showing secrets.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.printable()) }

// LogValue keeps package slog from showing secrets.
func (c Config) LogValue() slog.Value {
	shown := c.printable()
	var attrs []slog.Attr
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		attrs = append(attrs, slog.String(name, shown[name]))
	}
	return slog.GroupValue(attrs...)
}
