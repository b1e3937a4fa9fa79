package migrations

import (
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
)

// locate places the server's error in the file. A syntax error comes with
// a position in the text that was sent, which is the file. Other errors come with
// none; they belong to the first statement that did not succeed.
func locate(m Migration, pgErr *pgconn.PgError, succeeded int) *StatementError {
	offset := 0
	if pgErr.Position > 0 {
		offset = byteOffset(m.SQL, int(pgErr.Position)-1)
	} else if starts := statementStarts(m.SQL); succeeded < len(starts) {
		offset = starts[succeeded]
	}
	line, column := lineAndColumn(m.SQL, offset)
	return &StatementError{
		File: m.File, Line: line, Column: column, Err: pgErr,
		Source: strings.TrimSpace(strings.SplitN(m.SQL, "\n", line+1)[line-1]),
	}
}

// byteOffset converts a count of characters, which is what the server sends.
func byteOffset(text string, characters int) int {
	for offset := range text {
		if characters == 0 {
			return offset
		}
		characters--
	}
	return len(text)
}

// lineAndColumn counts from one, columns in characters.
func lineAndColumn(text string, offset int) (line, column int) {
	before := text[:min(offset, len(text))]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
