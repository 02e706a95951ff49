package switchyard_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write api.txt anew")

// TestAPI compares the exported declarations of every package with api.txt, so that a change of the API is seen in
// the change that makes it. After a wanted change: go test -run TestAPI -update .
func TestAPI(t *testing.T) {
	var got bytes.Buffer
	for _, dir := range []string{"uniform", "psyc", "xmpp", "transcode", "switch"} {
		decls := exported(t, dir)
		fmt.Fprintf(&got, "# %s\n%s\n", dir, strings.Join(decls, "\n"))
	}
	if *update {
		if err := os.WriteFile("api.txt", got.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("api.txt")
	if err != nil {
		t.Fatal(err)
	}
	want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("exported declarations differ from api.txt (-want +got); if that is meant, run with -update and note it in CHANGELOG.md:\n%s", diff)
	}
}

// exported returns the exported declarations of the package in dir, sorted, without comments and bodies.
func exported(t *testing.T, dir string) []string {
	t.Helper()
	fset := token.NewFileSet()
	var decls []string
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, dir+"/"+name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !ast.FileExports(file) {
			continue
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if !visible(d.Recv) {
					continue
				}
				d.Body = nil
				decls = append(decls, source(t, fset, d))
			case *ast.GenDecl:
				if d.Tok == token.IMPORT {
					continue
				}
				for i, s := range d.Specs {
					text := source(t, fset, s)
					if v, ok := s.(*ast.ValueSpec); ok && v.Type == nil && len(v.Values) == 0 && i > 0 {
						text += " // continues " + source(t, fset, d.Specs[0])
					}
					decls = append(decls, d.Tok.String()+" "+text)
				}
			}
		}
	}
	slices.Sort(decls)
	return decls
}

// visible reports whether a receiver, if there is one, is of an exported type.
func visible(recv *ast.FieldList) bool {
	if recv == nil {
		return true
	}
	typ := recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

func source(t *testing.T, fset *token.FileSet, node any) string {
	t.Helper()
	var b bytes.Buffer
	if err := printer.Fprint(&b, fset, node); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
