package scenario

import (
	"encoding"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// fault is what is wrong, and on which line.
type fault struct {
	line int
	err  error
}

func (f *fault) Error() string { return fmt.Sprintf("line %d: %v", f.line, f.err) }
func (f *fault) Unwrap() error { return f.err }

func wrong(n *yaml.Node, format string, args ...any) error {
	return &fault{n.Line, fmt.Errorf(format, args...)}
}

// reader takes a value from a node.
type reader func(*yaml.Node) error

// keys are the keys that a mapping may have.
type keys map[string]reader

// object reads a mapping with known keys. ~ in place of a value is not for these:
// to say nothing is to leave the key out.
func object(n *yaml.Node, known keys) error {
	return each(n, func(key string, k, v *yaml.Node) error {
		read, ok := known[key]
		if !ok {
			return wrong(k, "unknown key %.40q: one of %s", key, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if err := read(v); err != nil {
			return under(key, err)
		}
		return nil
	})
}

// under names the key whose value is wrong.
func under(key string, err error) error {
	if f, ok := err.(*fault); ok {
		return &fault{f.line, fmt.Errorf("%s: %w", key, f.err)}
	}
	return fmt.Errorf("%s: %w", key, err)
}

// each calls f for the entries of a mapping in their order. Keys are plain text
// and stand once.
func each(n *yaml.Node, f func(key string, k, v *yaml.Node) error) error {
	if err := plain(n); err != nil {
		return err
	}
	if n.Kind != yaml.MappingNode {
		return wrong(n, "keys with values are wanted")
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if err := plain(k); err != nil {
			return err
		}
		if k.Kind != yaml.ScalarNode || k.ShortTag() != "!!str" {
			return wrong(k, "a key must be plain text")
		}
		if seen[k.Value] {
			return wrong(k, "key %.40q stands twice", k.Value)
		}
		seen[k.Value] = true
		if err := f(k.Value, k, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// plain refuses what would let a file say something else than it seems to.
func plain(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return wrong(n, "anchors and aliases are not taken")
	case n.Style&yaml.TaggedStyle != 0:
		return wrong(n, "tags are not taken")
	}
	return nil
}

// isNothing reports whether a node is ~, null or empty.
func isNothing(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// text returns a scalar as it is written; dates and numbers are text, too.
func text(n *yaml.Node) (string, error) {
	if err := plain(n); err != nil {
		return "", err
	}
	if n.Kind != yaml.ScalarNode || isNothing(n) || n.Value == "" {
		return "", wrong(n, "a value is wanted")
	}
	return n.Value, nil
}

// str reads text of any form.
func str[T ~string](to *T) reader {
	return func(n *yaml.Node) error {
		s, err := text(n)
		*to = T(s)
		return err
	}
}

// word reads a value that knows its own form.
func word[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](to *T) reader {
	return func(n *yaml.Node) error {
		s, err := text(n)
		if err != nil {
			return err
		}
		if err := P(to).UnmarshalText([]byte(s)); err != nil {
			return wrong(n, "%w", err)
		}
		return nil
	}
}

// sequence calls f for each value of a list, which may be empty.
func sequence(n *yaml.Node, f reader) error {
	if err := plain(n); err != nil {
		return err
	}
	if n.Kind != yaml.SequenceNode {
		return wrong(n, "a list is wanted: [...]")
	}
	for _, c := range n.Content {
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}

// listOf reads a list, each value by the reader that item makes for its place,
// in place of the one before. A value that stands twice is an error.
func listOf[T comparable](to *[]T, item func(*T) reader) reader {
	return func(n *yaml.Node) error {
		list := []T{}
		err := sequence(n, func(c *yaml.Node) error {
			var v T
			if err := item(&v)(c); err != nil {
				return err
			}
			if slices.Contains(list, v) {
				return wrong(c, "%v stands twice", v)
			}
			list = append(list, v)
			return nil
		})
		*to = list
		return err
	}
}

// boolean reads true or false.
func boolean(to *bool) reader {
	return func(n *yaml.Node) error {
		s, err := text(n)
		if err == nil && (n.ShortTag() != "!!bool" || s != "true" && s != "false") {
			err = wrong(n, "true or false is wanted")
		}
		*to = s == "true"
		return err
	}
}

// number reads a whole number from 0.
func number(to *int) reader {
	return func(n *yaml.Node) error {
		if _, err := text(n); err != nil {
			return err
		}
		if n.ShortTag() != "!!int" || n.Decode(to) != nil || *to < 0 {
			return wrong(n, "a whole number is wanted")
		}
		return nil
	}
}

// moment reads the first instant of a day in UTC, or an instant.
func moment(to *time.Time) reader { return instant(to, 0) }

// endOfDay reads the first instant after a day, or an instant.
func endOfDay(to *time.Time) reader { return instant(to, 1) }

func instant(to *time.Time, days int) reader {
	return func(n *yaml.Node) error {
		s, err := text(n)
		if err != nil {
			return err
		}
		if t, err := time.Parse(time.DateOnly, s); err == nil {
			*to = t.AddDate(0, 0, days)
			return nil
		}
		if *to, err = time.Parse(time.RFC3339, s); err != nil {
			return wrong(n, "%.40q is neither a day, 2027-01-15, nor a moment, 2027-01-15T10:00:00Z", s)
		}
		return nil
	}
}

// entries reads a mapping of names to values over what is there: what an entry
// says changes the value, ~ takes it away.
func entries[K ~string, V any](to map[K]V, name func(*K) reader, change func(*V) reader) reader {
	return func(n *yaml.Node) error {
		return each(n, func(key string, k, v *yaml.Node) error {
			var id K
			if err := name(&id)(k); err != nil {
				return err
			}
			if isNothing(v) {
				if _, ok := to[id]; !ok {
					return wrong(v, "%s: there is nothing to take away", id)
				}
				delete(to, id)
				return nil
			}
			value := to[id]
			if err := change(&value)(v); err != nil {
				return under(key, err)
			}
			to[id] = value
			return nil
		})
	}
}
