package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/parentpal/reminder-worker/notify/text"
)

// maxTexts bounds what is read of REMINDER_TEXTS.
const maxTexts = 1 << 20

// expoProject is how Expo names a project: its owner and its slug.
var expoProject = regexp.MustCompile(`^@[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}$`)

// categoryName and channelName are what an app may call a category of actions and a channel. Expo warns of : and - in the former.
var (
	categoryName = regexp.MustCompile(`^[A-Za-z0-9._]{0,64}$`)
	channelName  = regexp.MustCompile(`^[A-Za-z0-9._:-]{0,64}$`)
)

func (c Config) validatePush() error {
	var faults []error
	if !categoryName.MatchString(c.PushCategory) {
		faults = append(faults, fmt.Errorf("PUSH_CATEGORY: %q is not a name of at most 64 letters, digits and . _", c.PushCategory))
	}
	if !channelName.MatchString(c.PushChannel) {
		faults = append(faults, fmt.Errorf("PUSH_CHANNEL: %q is not a name of at most 64 letters, digits and . _ : -", c.PushChannel))
	}
	if c.ExpoProject != "" && !expoProject.MatchString(c.ExpoProject) {
		faults = append(faults, fmt.Errorf("EXPO_PROJECT: %q does not look like @owner/slug, as the app's page at expo.dev shows it", c.ExpoProject))
	}
	_, err := c.Texts()
	return errors.Join(append(faults, err)...)
}

// Texts are the texts of pushes: those that come with the program, and over them those of REMINDER_TEXTS. All that is wrong with the file is
// reported at once.
func (c Config) Texts() (*text.Catalog, error) {
	var source string
	if c.ReminderTexts != "" {
		var err error
		if source, err = readTexts(c.ReminderTexts); err != nil {
			return nil, fmt.Errorf("REMINDER_TEXTS: %w", err)
		}
	}
	texts, err := text.New(c.DefaultLocale, source, c.ReminderTexts)
	switch {
	case err == nil:
		return texts, nil
	case c.ReminderTexts == "":
		return nil, fmt.Errorf("DEFAULT_LOCALE: %w", err)
	}
	return nil, fmt.Errorf("REMINDER_TEXTS: %w", err)
}

func readTexts(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read texts: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxTexts+1))
	if err != nil {
		return "", fmt.Errorf("read texts: %w", err)
	}
	if len(content) > maxTexts {
		return "", fmt.Errorf("read texts: %s holds more than %d bytes", path, maxTexts)
	}
	return string(content), nil
}
