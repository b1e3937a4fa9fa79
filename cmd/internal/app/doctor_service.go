package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

// examineServiceAccount reads the key and asks for an access token of the service account's own. How that is answered tells whether Google
// knows it and takes its key; whether it may act for users only their calendars tell.
func examineServiceAccount(ctx context.Context, c Config) Finding {
	const id = "service_account"
	domains := c.WorkspaceDomains()
	switch {
	case c.GoogleClientEmail == "" && c.GooglePrivateKey == "" && len(domains) == 0:
		return pass(id, "not set, and not needed: calendars are written with each user's own consent")
	case c.validateServiceAccount() != nil:
		return fail(id, oneLine(c.validateServiceAccount()), "Copy client_email and private_key of the service account's JSON again, and check GOOGLE_WORKSPACE_DOMAIN.")
	case len(domains) == 0:
		return warn(id, "a Google service account is set, and acts for nobody: GOOGLE_WORKSPACE_DOMAIN is not set",
			"Set GOOGLE_WORKSPACE_DOMAIN to the domain of the Google Workspace whose users it is to act for, or unset GOOGLE_CLIENT_EMAIL and GOOGLE_PRIVATE_KEY: a key that is not there cannot be lost.")
	case !reachable(c.GoogleTokenURL):
		return skip(id, "GOOGLE_TOKEN_URL is no address", "Correct GOOGLE_TOKEN_URL.")
	}
	cfg := c.gcal()
	cfg.ClientID, cfg.ClientSecret, cfg.Timeout = "", "", checkLimit
	client, err := gcal.New(cfg)
	if err != nil {
		return skip(id, oneLine(err), "Correct the addresses of Google.")
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	began := time.Now()
	if err := client.CheckService(ctx); err != nil {
		return judgeService(id, err)
	}
	return pass(id, fmt.Sprintf("accepted (%s); it acts for users without a consent of their own whose confirmed e-mail address is of %s, once an administrator has delegated %s to it",
		rounded(time.Since(began)), strings.Join(domains, " or "), gcal.Scope))
}

func judgeService(id string, err error) Finding {
	e, ok := errors.AsType[*gcal.Error](err)
	switch {
	case !ok, e.Status == 0 && e.Kind == gcal.Retry:
		return fail(id, "the token endpoint cannot be reached: "+whyNot(err), reachFix("GOOGLE_TOKEN_URL"))
	case e.Status == http.StatusTooManyRequests, e.Status >= 500:
		return warn(id, fmt.Sprintf("the token endpoint answers with status %d", e.Status), "Try again later; the worker waits by itself.")
	case e.Reason == "":
		return fail(id, fmt.Sprintf("the answer is not one of a token endpoint (status %d)", e.Status), "Correct GOOGLE_TOKEN_URL; Google's is https://oauth2.googleapis.com/token.")
	}
	return fail(id, "the token endpoint does not accept the service account: "+e.Reason,
		"Check that GOOGLE_CLIENT_EMAIL and GOOGLE_PRIVATE_KEY are of one and the same service account, that neither it nor the key is disabled or deleted, and that this machine's clock is right.")
}
