package store_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// statements are the texts this package exports, by name, read from its source so that none can be forgotten.
func statements(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("*.sql.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				if text, ok := spec.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
					if found[spec.Names[0].Name], err = strconv.Unquote(text.Value); err != nil {
						t.Fatal(err)
					}
				}
			}
			return true
		})
	}
	return found
}

func keys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Connect(t)
	for name, text := range statements(t) {
		if _, err := conn.Prepare(t.Context(), name, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatementsAreThoseOfTheQueryFiles(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../queries/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^-- name: (\w+)`).FindAllSubmatch(text, -1) {
			written[string(m[1])] = true
		}
	}
	if diff := cmp.Diff(keys(written), keys(statements(t))); diff != "" {
		t.Errorf("run sqlc generate in the folder sql (-queries +store):\n%s", diff)
	}
	if diff := cmp.Diff(methods(), keys(statements(t))); diff != "" {
		t.Errorf("methods and statements differ (-methods +statements):\n%s", diff)
	}
}

// methods are the statements as methods.
func methods() (names []string) {
	queries := reflect.TypeFor[*store.Queries]()
	for method := range queries.Methods() {
		if method.Name != "WithTx" {
			names = append(names, method.Name)
		}
	}
	return names
}

// tape is a connection that runs nothing and remembers what it was asked.
type tape struct {
	sql  string
	args []any
}

var (
	_            store.DBTX = (*tape)(nil)
	errNotPlayed            = errors.New("a tape answers nothing")
)

func (p *tape) note(sql string, args []any) { p.sql, p.args = sql, args }

func (p *tape) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	p.note(sql, args)
	return pgconn.CommandTag{}, errNotPlayed
}

func (p *tape) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	p.note(sql, args)
	return nil, errNotPlayed
}

func (p *tape) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	p.note(sql, args)
	return noRow{}
}

type noRow struct{}

func (noRow) Scan(...any) error { return errNotPlayed }
