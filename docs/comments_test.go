package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// documented are the folders in which everything exported has a comment.
var documented = []string{"api/", "crypto/", "trust", "policies", "hub", "node"}

// TestComments: every package says what it is, and every exported identifier of
// those that others build on says what it means. Generated files are left out.
func TestComments(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests alone
		}
		set, hasDoc, generated := token.NewFileSet(), false, 0
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(set, filepath.Join(root, p.path(), name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			hasDoc = hasDoc || file.Doc != nil
			if ast.IsGenerated(file) {
				generated++
				continue
			}
			if below(p.path(), documented) {
				for _, d := range file.Decls {
					checkDeclaration(t, set, d)
				}
			}
		}
		if !hasDoc {
			t.Errorf("package %s has no comment", p.path())
		}
		if generated > 0 && generated < len(p.GoFiles) {
			t.Logf("package %s: %d generated files", p.path(), generated)
		}
	}
}

// below reports whether a path is one of the folders or lies in it.
func below(path string, folders []string) bool {
	for _, f := range folders {
		f = strings.TrimSuffix(f, "/")
		if path == f || strings.HasPrefix(path, f+"/") {
			return true
		}
	}
	return false
}

func checkDeclaration(t *testing.T, set *token.FileSet, d ast.Decl) {
	missing := func(n *ast.Ident) { t.Errorf("%s: %s has no comment", set.Position(n.Pos()), n.Name) }
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			missing(d.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					missing(s.Name)
				}
			case *ast.ValueSpec: // a comment on the group or on the line will do
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						missing(n)
					}
				}
			}
		}
	}
}

// exportedReceiver reports whether a function is one that others can call.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}
