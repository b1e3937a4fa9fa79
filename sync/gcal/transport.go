package gcal

import (
	"encoding/json"
	"io"
	"net/http"

	"golang.org/x/oauth2"
)

// maxAnswer bounds how much of an answer is read. An event with everything Google allows is far smaller.
const maxAnswer = 8 << 20

// tokenKey is under what a request's context carries its access token.
type tokenKey struct{}

// bearer signs each request with the token of its context. All accounts share one service and one pool this way.
type bearer struct{ base http.RoundTripper }

func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	token, _ := req.Context().Value(tokenKey{}).(*oauth2.Token)
	signed := oauth2.Transport{Source: oauth2.StaticTokenSource(token), Base: b.base}
	res, err := signed.RoundTrip(req)
	if err == nil && req.Method == http.MethodDelete && res.StatusCode < 300 && res.StatusCode != http.StatusNoContent {
		// Google answers 204. Something else that says yes is a page of whoever stands in between, and nothing has been deleted.
		res.StatusCode, res.Status = http.StatusBadGateway, "502 answered by somebody else"
	}
	return res, err
}

// limited cuts answers off at maxAnswer, so that no server can fill the memory.
type limited struct{ base http.RoundTripper }

func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := l.base.RoundTrip(req)
	if err == nil {
		res.Body = limitedBody{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

type limitedBody struct {
	io.Reader
	io.Closer
}

// revokeCode reads the error code of the revoke endpoint, empty if the answer is not Google's.
func revokeCode(body []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return answer.Error
}
