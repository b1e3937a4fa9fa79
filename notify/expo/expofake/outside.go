package expofake

import "net/http"

// The faults of this file are not Expo's: they come from what stands before it or
// on the way to it.

// oauthBody is what the public has seen of a bad access token, whether or not the
// project asks for one: no list of errors, but OAuth's own form (RFC 6750, section
// 3.1). Status 401 is that document's; no report names one.
const oauthBody = `{"error":"invalid_token","error_description":"The bearer token is invalid"}`

// BadAccessToken refuses the access token in the form of OAuth and takes nothing.
func BadAccessToken() *Fault { return Status(http.StatusUnauthorized, oauthBody) }

// CaptivePortal answers 200 with a page that asks to sign in, as hotels and
// airports do, and takes nothing.
func CaptivePortal() *Fault {
	return page(http.StatusOK, "<html><head><title>Welcome</title></head><body><form action=\"/login\">Accept our terms to go on.</form></body></html>")
}

// TooLarge answers 413 with a gateway's page and takes nothing. Expo's own word
// for it, if it has one, is not documented.
func TooLarge() *Fault {
	return page(http.StatusRequestEntityTooLarge, "<html><head><title>413 Request Entity Too Large</title></head><body><h1>413 Request Entity Too Large</h1></body></html>")
}

// Empty answers 200 without a body and takes nothing.
func Empty() *Fault { return Status(http.StatusOK, "") }

// Truncated accepts the request; its answer ends in the middle, although status
// and length say that it is whole.
func Truncated() *Fault { return &Fault{Accept: true, Truncate: true} }

func page(status int, html string) *Fault {
	return &Fault{Status: status, Header: http.Header{"Content-Type": {"text/html"}}, Body: html}
}
