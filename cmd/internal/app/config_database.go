package app

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

func (c Config) validateDatabase() error {
	var faults []error
	if _, err := c.poolConfig(); err != nil {
		faults = append(faults, err)
	}
	if c.PoolSize < 2 || c.PoolSize > 100 {
		faults = append(faults, fmt.Errorf("DATABASE_POOL_SIZE: %d is not between 2 and 100", c.PoolSize))
	}
	return errors.Join(faults...)
}

// poolConfig reads the connection string. Its error names the variable and none of the value.
func (c Config) poolConfig() (*pgxpool.Config, error) {
	address, err := c.Database()
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(address)
	if why := misread(address, err); why != "" {
		return nil, fmt.Errorf("%s: not a connection string: %s; one looks like postgresql://user:password@host:5432/database", c.databaseSource(), why)
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("%s: a certificate or key named in it (sslrootcert, sslcert, sslkey) cannot be read: %w; correct the path, or give the file to the account that runs this",
			c.databaseSource(), file)
	}
	for _, key := range foreignSettings {
		delete(cfg.ConnConfig.RuntimeParams, key)
	}
	setForms(cfg.ConnConfig.RuntimeParams)
	return cfg, nil
}

// foreignSettings stand in the connection strings that hosted platforms hand out. They are meant for other drivers, and no server or pooler
// knows them.
var foreignSettings = []string{"connection_limit", "pgbouncer", "pool_timeout", "socket_timeout", "statement_cache_size", "supa", "uselibpqcompat"}

// setForms makes the server write times, and read texts, in the one form the driver knows, whatever the database or its role has been set
// to. Poolers in transaction mode pass on exactly these.
func setForms(params map[string]string) {
	forms := map[string]string{"datestyle": "ISO", "standard_conforming_strings": "on", "client_encoding": "UTF8"}
	for key := range params {
		if _, ours := forms[strings.ToLower(key)]; ours {
			delete(params, key)
		}
	}
	maps.Copy(params, forms)
}

// misread says why an address is none, or not the one that was meant; empty if it is fine. The words of the parsers quote what they
// could not read, which may be a part of the password: they are passed on only when user and password were understood.
func misread(address string, err error) string {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		err = nil // everything was understood; a file is missing
	}
	const encode = "characters such as @ : / ? # % in the password must be percent-encoded"
	if !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		if err == nil {
			return ""
		}
		return "neither a URL nor a list of key=value settings, or one of the settings is wrong"
	}
	u, badURL := url.Parse(oneHost(address))
	switch {
	case badURL != nil:
		return encode
	case strings.Contains(u.Host, "@") || strings.Count(authority(address), "@") > 1:
		return encode
	case cutShort(u):
		return encode
	case err == nil:
		return ""
	}
	var pe *pgconn.ParseConfigError
	if errors.As(err, &pe) && pe.Unwrap() != nil {
		return oneLine(pe.Unwrap())
	}
	return "a setting in it is wrong"
}

// oneHost takes all hosts but the first out of a URL: a list of hosts with ports is for the driver to read, and no URL to anybody else.
func oneHost(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndex(rest[:end], "@") + 1
	first, _, _ := strings.Cut(rest[at:end], ",")
	return scheme + "://" + rest[:at] + first + rest[end:]
}

// authority is what stands between the scheme and the path of a URL: user, password and hosts.
func authority(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// cutShort reports whether a character in the password seems to have ended the host: what should follow an @ is then in the wrong place.
func cutShort(u *url.URL) bool {
	if u.Fragment != "" || strings.Contains(u.Path, "@") {
		return true
	}
	for key := range u.Query() {
		if strings.Contains(key, "@") {
			return true
		}
	}
	return false
}

// Database is the connection string, from whichever variables give one.
func (c Config) Database() (string, error) {
	switch {
	case c.DatabaseURL != "":
		return c.DatabaseURL, nil
	case c.SupabaseDBURL != "":
		return c.SupabaseDBURL, nil
	case c.SupabaseURL == "":
		return "", errors.New("DATABASE_URL: missing; set it to your database's connection string, for example postgresql://user:password@host:5432/database (on Supabase: Connect, Direct connection)")
	case c.SupabaseDBPassword == "":
		return "", errors.New("SUPABASE_DB_PASSWORD: missing; EXPO_PUBLIC_SUPABASE_URL alone gives no access to the database: set the database password, or DATABASE_URL")
	}
	return c.supabaseDirect()
}

func (c Config) supabaseDirect() (string, error) {
	u, err := url.Parse(c.SupabaseURL)
	if err == nil {
		if ref, ok := strings.CutSuffix(u.Hostname(), ".supabase.co"); ok && ref != "" && !strings.Contains(ref, ".") {
			direct := url.URL{
				Scheme: "postgresql", User: url.UserPassword("postgres", c.SupabaseDBPassword),
				Host: "db." + ref + ".supabase.co:5432", Path: "/postgres", RawQuery: "sslmode=require",
			}
			return direct.String(), nil
		}
	}
	return "", fmt.Errorf("EXPO_PUBLIC_SUPABASE_URL: not the address of a hosted project (https://<ref>.supabase.co), so it does not tell where the database is; set DATABASE_URL instead")
}

// databaseSource names the variables that the database's address comes from.
func (c Config) databaseSource() string {
	switch {
	case c.DatabaseURL != "":
		return "DATABASE_URL"
	case c.SupabaseDBURL != "":
		return "SUPABASE_DB_URL"
	}
	return "EXPO_PUBLIC_SUPABASE_URL and SUPABASE_DB_PASSWORD"
}
