package page

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// policy lets a page load what this server has, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guarded sets what all answers have in common, and lets in who may.
func (p *Page) guarded(next http.Handler) http.Handler {
	sites := http.NewCrossOriginProtection()
	sites.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.refuse(w, r, refusedOrigin, http.StatusForbidden, "This request comes from another site, and is refused.")
	}))
	inner := sites.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		if p.admits(w, r) {
			inner.ServeHTTP(w, r)
		}
	})
}

// admits reports whether a request may be answered; else it has been.
func (p *Page) admits(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case p.cfg.Password != "":
		return p.knows(w, r)
	case !p.cfg.loopback():
		p.refuse(w, r, refusedAddress, http.StatusForbidden,
			"The live page is closed: it answers at an address that others can reach, and no password is set.\n"+
				"Set PAGE_PASSWORD (or PAGE_PASSWORD_FILE), or HTTP_ADDR to an address of the loopback such as 127.0.0.1:8080.\n"+
				"/livez, /readyz and /metrics are answered all the same.")
		return false
	case !isAddress(r.Host):
		p.refuse(w, r, refusedHost, http.StatusForbidden,
			"Without a password the live page is shown under an address of this machine only, such as 127.0.0.1 or localhost,\n"+
				"so that no other site can have its name lead here. Set PAGE_PASSWORD to use a name.")
		return false
	}
	return true
}

// isAddress reports whether a Host header, of which any site can have its own name lead here, is no such name.
func isAddress(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// knows reports whether a request carries the password; else it has been answered.
func (p *Page) knows(w http.ResponseWriter, r *http.Request) bool {
	given, ok := offered(r)
	if !ok {
		p.demand(w, r)
		return false
	}
	now, from := time.Now(), network(r)
	if wait := p.trials.wait(from, now); wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(math.Ceil(wait.Seconds()))))
		p.refuse(w, r, refusedPassword, http.StatusTooManyRequests, "Too many wrong passwords from this address: wait a little.")
		return false
	}
	if same(given, p.cfg.Password) {
		p.trials.right(from)
		return true
	}
	if n := p.trials.wrong(from, now); n > 0 {
		p.log.Warn().Str("from", from.String()).Int("attempts", n).Msg("wrong password for the live page")
	}
	p.metrics.refused.WithLabelValues(refusedPassword).Inc()
	p.demand(w, r)
	return false
}

// demand asks for the password.
func (p *Page) demand(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("WWW-Authenticate", `Basic realm="reminder-worker", charset="UTF-8"`)
	p.fail(w, r, http.StatusUnauthorized, "This needs the password that PAGE_PASSWORD holds, with any user name.")
}

// offered is the password that a request carries, if it carries any.
func offered(r *http.Request) (password string, ok bool) {
	if _, password, ok := r.BasicAuth(); ok {
		return password, true
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// same compares in a time that depends on neither.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// network is where a request comes from: an address, or of IPv6, of which everybody has many, what is given to one site.
func network(r *http.Request) netip.Prefix {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	from, _ := ip.Prefix(bits) // such an address has so many
	return from
}

// refuse answers in words, to programs as JSON.
func (p *Page) refuse(w http.ResponseWriter, r *http.Request, reason string, code int, text string) {
	p.metrics.refused.WithLabelValues(reason).Inc()
	p.fail(w, r, code, text)
}
