// Lengths lists the Go files and functions below the working directory that are too long to read in one go. It exits
// with 1 when there are any. Generated files are exempt, and functions of tests.
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// In lines. The aims are 400 and 70; what is a little over is not worth cutting badly.
const (
	maxFile     = 450
	maxFunction = 80
)

func main() {
	found, err := check(".")
	for _, f := range found {
		fmt.Println(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lengths:", err)
	}
	if err != nil || len(found) > 0 {
		os.Exit(1)
	}
}

func check(root string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // Folders of tests that run meanwhile come and go.
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || path != root && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		long, err := checkFile(path)
		found = append(found, long...)
		return err
	})
	return found, err
}

func checkFile(path string) ([]string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(file) {
		return nil, nil
	}
	var found []string
	if lines := files.File(file.FileStart).LineCount(); lines > maxFile {
		found = append(found, fmt.Sprintf("%s: %d lines, more than %d: split the file by subject", path, lines, maxFile))
	}
	if strings.HasSuffix(path, "_test.go") { // Tables of cases are long.
		return found, nil
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		begin, end := files.Position(function.Pos()), files.Position(function.End())
		if lines := end.Line - begin.Line + 1; lines > maxFunction {
			found = append(found, fmt.Sprintf("%s: %s has %d lines, more than %d: name its parts", begin, function.Name.Name, lines, maxFunction))
		}
	}
	return found, nil
}
