package bundle

import (
	"io/fs"
	"path"
	"strings"
)

// maxRead is the number of files read from a folder: a test beside each rule.
const maxRead = 2 * MaxFiles

// Modules reads the rules in a folder, as policies.Embedded names them. Left out
// are tests (*_test.rego), Markdown (*.md), the folder scenarios, and what begins
// with a dot in the folder itself, such as the .manifest of an unpacked bundle.
// Everything else must be a module below release/ or admission/: a data file, a
// link or a rule elsewhere would be missed by who reads the folder. Errors wrap
// ErrMalformed or ErrTooLarge, or are the file system's.
func Modules(fsys fs.FS) (map[string]string, error) {
	return read(fsys, false)
}

// WithTests is Modules with the tests among them. A test must lie below release/ or
// admission/ too.
func WithTests(fsys fs.FS) (map[string]string, error) {
	return read(fsys, true)
}

func read(fsys fs.FS, tests bool) (map[string]string, error) {
	modules, size := make(map[string]string), int64(0)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		switch skip := leftOut(name, d); {
		case skip && d.IsDir():
			return fs.SkipDir
		case skip || d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return malformed("%s is not a regular file", name)
		}
		module := name
		if stem, isTest := strings.CutSuffix(name, "_test.rego"); isTest {
			if !tests {
				return nil
			}
			module = stem + ".rego"
		}
		if err := checkName(module); err != nil {
			return err
		}
		content, err := readFile(fsys, name, d, MaxUnpacked-size)
		if err != nil {
			return err
		}
		if size += int64(len(content)); len(modules) == maxRead {
			return tooLarge("more than %d files", maxRead)
		}
		modules[name] = string(content)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(modules) == 0 {
		return nil, malformed("no rules below release/ and admission/")
	}
	return modules, nil
}

// leftOut tells what of a folder has no part in its rules.
func leftOut(name string, d fs.DirEntry) bool {
	top := !strings.Contains(name, "/")
	return top && (name[0] == '.' || d.IsDir() && name == "scenarios") || d.Type().IsRegular() && path.Ext(name) == ".md"
}

// readFile reads a file of at most max bytes.
func readFile(fsys fs.FS, name string, d fs.DirEntry, max int64) ([]byte, error) {
	info, err := d.Info()
	if err != nil {
		return nil, err
	}
	if info.Size() > max {
		return nil, tooLarge("rules of more than %d bytes", MaxUnpacked)
	}
	content, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > max { // it has grown
		return nil, tooLarge("rules of more than %d bytes", MaxUnpacked)
	}
	return content, nil
}
