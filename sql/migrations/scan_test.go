package migrations

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

// Every statement of these texts begins with the word S.
var scanCases = map[string]string{
	"nothing":        " -- S\n /* S; */ ; ;",
	"plain":          "S 1;S 2;\n\tS 3",
	"string":         "S 'a;''b;' ; S ';'",
	"escape string":  `S E'a\';' ; S e'\\'; S 'a\'; S 1`,
	"name":           `S "a;""b;" ; S ""`,
	"dollar":         "S $$a;$b$;$$; S $b$ $$;$b$;S $1;S a$b;",
	"unclosed":       "S $a$ ; S",
	"comments":       "S 1 -- ;\n;/* ; /* ; */ ; */ S 2 /* ; S",
	"brackets":       "S rule do (a; b); S )",
	"atomic":         "S f() begin atomic select case when a then 1 end; select 2; end; S 2",
	"block is plain": "S begin; S end; S case",
	"wide":           "S 'é;'; S été; S 東",
}

func TestStatementStarts(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"nothing": 0, "plain": 3, "string": 2, "escape string": 4, "name": 2, "dollar": 4, "unclosed": 1,
		"comments": 2, "brackets": 2, "atomic": 2, "block is plain": 3, "wide": 3,
	}
	for name, sql := range scanCases {
		starts := statementStarts(sql)
		if len(starts) != want[name] {
			t.Errorf("%s: %d statements, want %d", name, len(starts), want[name])
		}
		for _, at := range starts {
			if sql[at] != 'S' {
				t.Errorf("%s: a statement starts at %q", name, sql[at:])
			}
		}
	}
}

func FuzzStatementStarts(f *testing.F) {
	for _, sql := range scanCases {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		starts := statementStarts(sql)
		if !slices.IsSorted(starts) {
			t.Errorf("starts are not in order: %v", starts)
		}
		for i, at := range starts {
			if at < 0 || at >= len(sql) || i > 0 && at == starts[i-1] {
				t.Errorf("start %d of %v is no place in %q", i, starts, sql)
			}
		}
	})
}

func TestLocate(t *testing.T) {
	t.Parallel()
	m := Migration{File: "f", SQL: "select 'ü';\nselect '東', x;\n\n  select 3"}
	for name, test := range map[string]struct {
		err          pgconn.PgError
		succeeded    int
		line, column int
		source       string
	}{
		"position":         {pgconn.PgError{Position: 25}, 0, 2, 13, "select '東', x;"},
		"position is past": {pgconn.PgError{Position: 2000}, 0, 4, 11, "select 3"},
		"count":            {pgconn.PgError{}, 2, 4, 3, "select 3"},
		"count is past":    {pgconn.PgError{}, 9, 1, 1, "select 'ü';"},
	} {
		got := locate(m, &test.err, test.succeeded)
		want := &StatementError{File: "f", Line: test.line, Column: test.column, Source: test.source, Err: &test.err}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestFreeTag(t *testing.T) {
	t.Parallel()
	text := "$body$ $body2$"
	if tag := freeTag("body", text); tag != "$body3$" || strings.Contains(text, tag) {
		t.Errorf("tag is %s", tag)
	}
}
