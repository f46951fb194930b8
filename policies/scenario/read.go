package scenario

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFile bounds a file of scenarios, in bytes.
const MaxFile = 1 << 20

// worldsFolder holds the worlds that scenarios name.
const worldsFolder = "worlds"

// Read reads all scenarios of a folder, by file and then as they stand. Errors wrap
// ErrInvalid where a file is not as it must be, and name file and line; a folder
// without a scenario is one, too, since to check it would check nothing.
func Read(fsys fs.FS) ([]Scenario, error) {
	files, worlds, err := list(fsys)
	if err != nil {
		return nil, err
	}
	bases := make(map[string]*yaml.Node)
	for _, file := range worlds {
		if err := readBase(fsys, file, bases); err != nil {
			return nil, err
		}
	}
	var out []Scenario
	titles := make(map[string]string)
	for _, file := range files {
		docs, err := documents(fsys, file)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			s, err := parse(doc, bases)
			if err != nil {
				return nil, placed(file, doc, err)
			}
			s.File = file
			if other, twice := titles[s.Title]; twice {
				return nil, placed(file, doc, fmt.Errorf("title %q is also that of a scenario in %s", s.Title, other))
			}
			titles[s.Title] = file
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no scenario in the folder", ErrInvalid)
	}
	return out, nil
}

// list returns the files of scenarios and of worlds, sorted. Files that are not
// *.yaml are none of ours, but one with another spelling of it would be forgotten.
func list(fsys fs.FS) (files, worlds []string, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch ext := path.Ext(name); {
		case strings.EqualFold(ext, ".yml") || strings.EqualFold(ext, ".yaml") && ext != ".yaml":
			return fmt.Errorf("%w: %s: the name must end in .yaml", ErrInvalid, name)
		case ext != ".yaml":
		case path.Dir(name) == worldsFolder:
			worlds = append(worlds, name)
		default:
			files = append(files, name)
		}
		return nil
	})
	return files, worlds, err
}

// readBase reads a world and sees to it that it is sound by itself.
func readBase(fsys fs.FS, file string, bases map[string]*yaml.Node) error {
	docs, err := documents(fsys, file)
	if err != nil {
		return err
	}
	if len(docs) != 1 {
		return fmt.Errorf("%w: %s: one world a file", ErrInvalid, file)
	}
	d := newDraft()
	if err = object(docs[0], d.baseKeys()); err == nil {
		_, err = d.world.made(d.at, d.originator, d.id)
	}
	if err != nil {
		return placed(file, docs[0], err)
	}
	bases[strings.TrimSuffix(path.Base(file), ".yaml")] = docs[0]
	return nil
}

// documents returns the top mappings of a file's documents.
func documents(fsys fs.FS, file string) ([]*yaml.Node, error) {
	f, err := fsys.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(raw) > MaxFile {
		return nil, fmt.Errorf("%w: %s: larger than %d bytes", ErrInvalid, file, MaxFile)
	}
	var out []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(raw)); ; {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, file, err)
		}
		out = append(out, doc.Content[0])
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: %s: the file is empty", ErrInvalid, file)
	}
	return out, nil
}

// placed says where an error is: on the line that it names, else in the document.
func placed(file string, doc *yaml.Node, err error) error {
	line := doc.Line
	if f, ok := errors.AsType[*fault](err); ok {
		line, err = f.line, f.err
	}
	return fmt.Errorf("%w: %s:%d: %w", ErrInvalid, file, cmp.Or(line, 1), err)
}

// parse reads one scenario over the world that it names.
func parse(doc *yaml.Node, bases map[string]*yaml.Node) (Scenario, error) {
	d := newDraft()
	err := each(doc, func(key string, _, v *yaml.Node) error {
		if key == "base" {
			if err := str(&d.base)(v); err != nil {
				return under(key, err)
			}
			if bases[d.base] == nil {
				return wrong(v, "base: there is no %s", path.Join(worldsFolder, d.base+".yaml"))
			}
		}
		return nil
	})
	if err != nil {
		return Scenario{}, err
	}
	if d.base != "" {
		if err := object(bases[d.base], d.baseKeys()); err != nil {
			return Scenario{}, fmt.Errorf("base %s: %v", d.base, err) // %v: the line is not of this file
		}
		d.title = ""
	}
	if err := object(doc, d.keys()); err != nil {
		return Scenario{}, err
	}
	s, err := d.finish()
	s.Line = doc.Line
	return s, err
}

// sorted returns a sorted copy.
func sorted[T ~string](list []T) []T { return slices.Sorted(slices.Values(list)) }
