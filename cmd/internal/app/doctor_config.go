package app

import (
	"fmt"
	"net/url"
	"strings"
)

// examineConfiguration reports what Load said.
func examineConfiguration(c Config, invalid error) Finding {
	if invalid == nil {
		return pass("configuration", "valid; the database is named by "+c.databaseSource())
	}
	faults := strings.Split(invalid.Error(), "\n")
	text := "1 fault"
	if len(faults) > 1 {
		text = fmt.Sprintf("%d faults", len(faults))
	}
	return fail("configuration", text,
		"Correct these variables in the environment or in .env.").with(faults...)
}

// remarks are about what is set, or not set, and works all the same.
func remarks(c Config) []Finding {
	return []Finding{remarkServiceRole(c), remarkSealing(c), remarkTimeZone(c)}
}

func remarkServiceRole(c Config) Finding {
	if c.SupabaseServiceRoleKey == "" {
		return pass("service_role_key", "not set, and not needed")
	}
	return pass("service_role_key", "SUPABASE_SERVICE_ROLE_KEY is set; it is not needed and not used, so it may as well be taken away")
}

func remarkSealing(c Config) Finding {
	keys, err := c.Keys()
	switch {
	case err != nil:
		return skip("token_sealing", "TOKEN_ENCRYPTION_KEY cannot be read", "Correct it: reminder-worker tokens key makes one.")
	case keys == nil:
		return warn("token_sealing", "users' refresh tokens are stored in plain text in the schema reminder_worker",
			"Set TOKEN_ENCRYPTION_KEY to what reminder-worker tokens key prints, and keep a copy of it where the database's backups are not.")
	}
	return pass("token_sealing", "users' refresh tokens are sealed with key "+keys.KeyID())
}

func remarkTimeZone(c Config) Finding {
	if c.DefaultTimeZone == "UTC" {
		return pass("time_zone", "UTC; set DEFAULT_TIME_ZONE to your families' zone, for example Europe/Berlin, for the times in reminders to read right")
	}
	return pass("time_zone", c.DefaultTimeZone)
}

// reachable reports whether an address may be asked at all. Validate has said what is wrong with one that may not.
func reachable(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
