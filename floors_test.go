// Package house_test holds the whole house to its plan: docs/floors.txt and
// the conventions that a machine can check.
package house_test

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/bearhug/bearhug/"

// Limits of architecture.
const (
	maxFunction   = 100 // lines
	maxFile       = 600 // lines
	maxInterfaces = 12  // in the whole house
	maxParameters = 6   // 5 is the convention, and one more for a context
	maxFields     = 25
)

// room is one package's code without its tests.
type room struct {
	name  string // "store", "cmd/bearhug"
	fset  *token.FileSet
	files map[string]*ast.File // by path
}

// house parses everything that is not a test.
func house(t *testing.T) map[string]*room {
	t.Helper()
	rooms := map[string]*room{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if file != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		r := rooms[dir]
		if r == nil {
			r = &room{name: dir, fset: token.NewFileSet(), files: map[string]*ast.File{}}
			rooms[dir] = r
		}
		f, err := parser.ParseFile(r.fset, file, nil, parser.ParseComments)
		r.files[file] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rooms
}

func (r *room) at(p token.Pos) string {
	pos := r.fset.Position(p)
	return fmt.Sprintf("%s:%d", pos.Filename, pos.Line)
}

// imports lists what a file imports of ours.
func imports(f *ast.File) []string {
	var out []string
	for _, i := range f.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err == nil && strings.HasPrefix(name, module) {
			out = append(out, strings.TrimPrefix(name, module))
		}
	}
	return out
}

type floor struct {
	number int
	may    []string
}

// plan reads docs/floors.txt.
func plan(t *testing.T) map[string]floor {
	t.Helper()
	file, err := os.Open("docs/floors.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	floors, number := map[string]floor{}, 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		switch {
		case len(fields) == 0:
		case fields[0] == "floor":
			if number, err = strconv.Atoi(fields[1]); err != nil {
				t.Fatal(err)
			}
		default:
			floors[strings.TrimSuffix(fields[0], ":")] = floor{number, fields[1:]}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return floors
}

func TestFloors(t *testing.T) {
	floors, rooms := plan(t), house(t)
	for name, r := range rooms {
		own, ok := floors[name]
		if !ok && name != "tests" && !strings.HasPrefix(name, "tests/") {
			t.Errorf("package %s is not in docs/floors.txt", name)
			continue
		}
		if !ok {
			continue // whole-house tests see everything
		}
		for file, f := range r.files {
			for _, i := range imports(f) {
				other, known := floors[i]
				switch {
				case !known:
					t.Errorf("%s imports %s, which is not in docs/floors.txt", file, i)
				case !slices.Contains(own.may, i):
					t.Errorf("%s imports %s, which docs/floors.txt does not allow to %s", file, i, name)
				case other.number >= own.number:
					t.Errorf("%s (floor %d) imports %s (floor %d): imports go down only", file, own.number, i, other.number)
				}
			}
		}
	}
	for name, f := range floors {
		if rooms[name] == nil {
			t.Errorf("docs/floors.txt lists %s, which does not exist", name)
		}
		for _, i := range f.may {
			if o, ok := floors[i]; !ok || o.number >= f.number {
				t.Errorf("docs/floors.txt allows %s to import %s, which is not below it", name, i)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	interfaces := 0
	for _, r := range house(t) {
		for file, f := range r.files {
			if n := r.fset.File(f.Pos()).LineCount(); n > maxFile {
				t.Errorf("%s has %d lines, want at most %d", file, n, maxFile)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if l := r.fset.Position(n.End()).Line - r.fset.Position(n.Pos()).Line + 1; l > maxFunction {
						t.Errorf("%s: %s has %d lines, want at most %d", r.at(n.Pos()), n.Name.Name, l, maxFunction)
					}
					if p := count(n.Type.Params); p > maxParameters {
						t.Errorf("%s: %s has %d parameters, want at most %d or a struct", r.at(n.Pos()), n.Name.Name, p, maxParameters)
					}
					if n.Name.Name == "init" && n.Recv == nil {
						t.Errorf("%s: no init(): what happens at start is called by somebody", r.at(n.Pos()))
					}
				case *ast.InterfaceType:
					if len(n.Methods.List) > 0 {
						interfaces++
					}
				case *ast.StructType:
					if c := count(n.Fields); c > maxFields {
						t.Errorf("%s: a struct of %d fields, want at most %d or groups of them", r.at(n.Pos()), c, maxFields)
					}
				}
				return true
			})
		}
	}
	if interfaces > maxInterfaces {
		t.Errorf("%d interfaces in the house, want at most %d", interfaces, maxInterfaces)
	}
}

// count counts the names of a list of fields or parameters.
func count(l *ast.FieldList) int {
	n := 0
	for _, f := range l.List {
		n += max(1, len(f.Names))
	}
	return n
}

func TestPackageComments(t *testing.T) {
	for name, r := range house(t) {
		found := false
		for _, f := range r.files {
			found = found || f.Doc != nil
		}
		if !found {
			t.Errorf("package %s has no comment: say what it keeps, its layout and its locks", name)
		}
	}
}

// TestNoMutableVariables: everything that changes hangs on a node, for three
// nodes run in one test. A package variable is set where it is declared and
// never again. Allowed are sentinel errors, tables (literals and functions
// that compute them), values of other packages that do not change (regexps,
// replacers, encodings, Unicode tables), embedded files, and a sync.Pool,
// which holds scratch memory and no state.
func TestNoMutableVariables(t *testing.T) {
	for _, r := range house(t) {
		vars := map[string]bool{}
		for _, f := range r.files {
			for _, d := range f.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.VAR {
					continue
				}
				for _, s := range g.Specs {
					v := s.(*ast.ValueSpec)
					embedded := strings.Contains(g.Doc.Text()+comments(g.Doc, v.Doc), "//go:embed")
					for i, n := range v.Names {
						vars[n.Name] = true
						if n.Name == "_" || embedded {
							continue
						}
						if i >= len(v.Values) {
							t.Errorf("%s: package variable %s is declared to be set later", r.at(n.Pos()), n.Name)
						} else if why := mutable(v.Values[i]); why != "" {
							t.Errorf("%s: package variable %s %s", r.at(n.Pos()), n.Name, why)
						}
					}
				}
			}
		}
		for _, f := range r.files {
			checkAssignments(t, r, f, vars)
		}
	}
}

// comments gives the raw text, in which directives still are.
func comments(groups ...*ast.CommentGroup) string {
	var b strings.Builder
	for _, g := range groups {
		if g == nil {
			continue
		}
		for _, c := range g.List {
			b.WriteString(c.Text + "\n")
		}
	}
	return b.String()
}

// constant are types whose values nobody changes once they are made.
var constant = map[string]bool{"unicode.RangeTable": true, "stanza.Scope": true}

// mutable says why a value is made to be changed, "" if it is not.
func mutable(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.UnaryExpr:
		if lit, ok := e.X.(*ast.CompositeLit); ok && e.Op == token.AND && !constant[typeName(lit.Type)] {
			return "is a pointer to something that can change"
		}
	case *ast.CallExpr:
		if id, ok := e.Fun.(*ast.Ident); ok && (id.Name == "make" || id.Name == "new") {
			return "is made empty to be filled"
		}
	case *ast.CompositeLit:
		name := typeName(e.Type)
		if strings.HasPrefix(name, "sync.") && name != "sync.Pool" || strings.HasPrefix(name, "atomic.") {
			return "is a " + name
		}
	}
	return ""
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	}
	return ""
}

// checkAssignments finds changes of package variables.
func checkAssignments(t *testing.T, r *room, f *ast.File, vars map[string]bool) {
	// isVar: the parser ties an identifier to its declaration within a
	// function; what it ties to nothing, or to the file, is the package's.
	isVar := func(e ast.Expr) (string, bool) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				local := x.Obj != nil && f.Scope.Lookup(x.Name) != x.Obj //nolint:staticcheck // enough here
				return x.Name, vars[x.Name] && x.Name != "_" && !local
			default:
				return "", false
			}
		}
	}
	report := func(e ast.Expr, what string) {
		if name, ok := isVar(e); ok {
			t.Errorf("%s: package variable %s %s", r.at(e.Pos()), name, what)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, l := range n.Lhs {
					report(l, "is assigned to")
				}
			}
		case *ast.IncDecStmt:
			report(n.X, "is counted")
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
				report(n.Args[0], "is emptied")
			}
		}
		return true
	})
}

// TestExtensionsStandAlone: no file of xep names an identifier of another one,
// so that each could move into a package of its own tomorrow.
func TestExtensionsStandAlone(t *testing.T) {
	r := house(t)["xep"]
	if r == nil {
		t.Skip("no extensions")
	}
	owner := map[string]string{}
	for file, f := range r.files {
		for name := range f.Scope.Objects { //nolint:staticcheck // enough here
			owner[name] = file
		}
	}
	for file, f := range r.files {
		for _, id := range f.Unresolved { //nolint:staticcheck // enough here
			if other := owner[id.Name]; other != "" && other != file {
				t.Errorf("%s uses %s of %s", r.at(id.Pos()), id.Name, path.Base(other))
			}
		}
	}
}

// TestModules: every router.Module has a Doc that names its standard first, a
// script, and a line in docs/xeps.md.
func TestModules(t *testing.T) {
	list, err := os.ReadFile("docs/xeps.md")
	if err != nil {
		t.Fatal(err)
	}
	modules := 0
	for _, r := range house(t) {
		for _, f := range r.files {
			ast.Inspect(f, func(n ast.Node) bool {
				lit, ok := n.(*ast.CompositeLit)
				if !ok || typeName(lit.Type) != "router.Module" || len(lit.Elts) == 0 {
					return true
				}
				modules++
				name, doc := texts(lit)
				if name == "" || doc == "" {
					t.Errorf("%s: a Module needs Name and Doc, written out", r.at(lit.Pos()))
					return true
				}
				if !strings.Contains(string(list), "| "+name+" |") {
					t.Errorf("%s: module %s has no line in docs/xeps.md: run make docs", r.at(lit.Pos()), name)
				}
				scripts, _ := filepath.Glob("tests/" + strings.ReplaceAll(name, "-", "_") + "*.scs")
				if len(scripts) == 0 {
					t.Errorf("%s: module %s has no script tests/%s….scs", r.at(lit.Pos()), name, strings.ReplaceAll(name, "-", "_"))
				}
				return true
			})
		}
	}
	if modules == 0 {
		t.Error("no modules found")
	}
}

// texts are the values of Name and Doc in a Module.
func texts(lit *ast.CompositeLit) (name, doc string) {
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		text := ""
		ast.Inspect(kv.Value, func(n ast.Node) bool {
			if b, ok := n.(*ast.BasicLit); ok && b.Kind == token.STRING {
				if s, err := strconv.Unquote(b.Value); err == nil {
					text += s
				}
			}
			return true
		})
		switch typeName(kv.Key) {
		case "Name":
			name = text
		case "Doc":
			doc = text
		}
	}
	return name, doc
}

// TestLocks: every lock that is a field of a struct stands in docs/locks.md,
// as `package.Type.field`.
func TestLocks(t *testing.T) {
	page, err := os.ReadFile("docs/locks.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range house(t) {
		if name == "rehearse" || name == "tests" || strings.HasPrefix(name, "tests/") {
			continue // a loader and tests, not the server
		}
		for _, f := range r.files {
			ast.Inspect(f, func(n ast.Node) bool {
				ts, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				st, ok := ts.Type.(*ast.StructType)
				if !ok {
					return true
				}
				for _, field := range st.Fields.List {
					kind := field.Type
					if a, ok := kind.(*ast.ArrayType); ok {
						kind = a.Elt
					}
					if k := typeName(kind); k != "sync.Mutex" && k != "sync.RWMutex" {
						continue
					}
					for _, fn := range field.Names {
						lock := path.Base(name) + "." + ts.Name.Name + "." + fn.Name
						if !strings.Contains(string(page), "`"+lock+"`") {
							t.Errorf("%s: lock %s is not in docs/locks.md", r.at(field.Pos()), lock)
						}
					}
				}
				return true
			})
		}
	}
}
