package migrations

import (
	"regexp"
	"strings"
)

// statementStarts returns the offset of the first word of every statement in sql.
// It knows what may hide a semicolon: quotes, dollar quotes, comments,
// brackets, and bodies that begin with BEGIN ATOMIC.
func statementStarts(sql string) []int {
	s := scanner{sql: sql}
	for s.at < len(sql) {
		s.step()
	}
	return s.starts
}

type scanner struct {
	sql    string
	at     int
	inside bool   // past the first word of a statement
	parens int    // open brackets
	bodies int    // open BEGIN ATOMIC and CASE
	word   string // last word, upper case
	starts []int
}

var (
	blank      = regexp.MustCompile(`^\s+`)
	lineRemark = regexp.MustCompile(`^--[^\n]*`)
	dollarTag  = regexp.MustCompile(`^\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$`)
	word       = regexp.MustCompile(`^[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*`)
)

// step consumes one token.
func (s *scanner) step() {
	rest := s.sql[s.at:]
	switch {
	case blank.MatchString(rest):
		s.at += len(blank.FindString(rest))
		return
	case lineRemark.MatchString(rest):
		s.at += len(lineRemark.FindString(rest))
		return
	case strings.HasPrefix(rest, "/*"):
		s.at += remarkLength(rest)
		return
	case rest[0] == ';' && s.parens == 0 && s.bodies == 0:
		s.at++
		s.inside, s.word = false, ""
		return
	}
	if !s.inside {
		s.inside = true
		s.starts = append(s.starts, s.at)
	}
	s.token(rest)
}

// token consumes one token that is part of a statement.
func (s *scanner) token(rest string) {
	switch first := rest[0]; {
	case first == '\'':
		s.at += quotedLength(rest, '\'', s.word == "E")
	case first == '"':
		s.at += quotedLength(rest, '"', false)
	case dollarTag.MatchString(rest):
		s.at += dollarLength(rest)
	case word.MatchString(rest):
		s.keyword(word.FindString(rest))
		return // a prefix such as E'' has to survive until its quote
	case first == '(':
		s.parens++
		s.at++
	case first == ')':
		s.parens = max(0, s.parens-1)
		s.at++
	default:
		s.at++
	}
	s.word = ""
}

// keyword follows the nesting of SQL function bodies.
func (s *scanner) keyword(text string) {
	s.at += len(text)
	upper := strings.ToUpper(text)
	switch {
	case upper == "ATOMIC" && s.word == "BEGIN":
		s.bodies++
	case upper == "CASE" && s.bodies > 0:
		s.bodies++
	case upper == "END" && s.bodies > 0:
		s.bodies--
	}
	s.word = upper
}

// remarkLength measures a block comment; they nest.
func remarkLength(text string) int {
	depth := 0
	for i := 0; i+1 < len(text); i++ {
		switch text[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(text)
}

// quotedLength measures a quoted string or name. A doubled quote does not end it.
func quotedLength(text string, quote byte, backslash bool) int {
	for i := 1; i < len(text); i++ {
		switch {
		case backslash && text[i] == '\\':
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return len(text)
}

// dollarLength measures a dollar-quoted string.
func dollarLength(text string) int {
	tag := dollarTag.FindString(text)
	end := strings.Index(text[len(tag):], tag)
	if end < 0 {
		return len(text)
	}
	return end + 2*len(tag)
}
