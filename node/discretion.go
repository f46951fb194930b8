package node

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

// discretion finds what would tell who the source of a delegation is. What names it by its
// form is refused. Of free text no program can tell what it gives away: where the member's
// code or name stands in it as a word, somebody must have looked.
type discretion struct {
	member alert.MemberID
	name   string // the registry's; "": it has none for it
	scheme string // the marking scheme that it alone has; "": there is none
}

func (n *Node) discretion(m alert.MemberID) (discretion, error) {
	k, err := n.registered()
	if err != nil {
		return discretion{}, err
	}
	d := discretion{member: m}
	members := k.dir.Registry().Members
	if i := slices.IndexFunc(members, func(e federation.Member) bool { return e.ID == m }); i >= 0 {
		d.name, d.scheme = strings.TrimSpace(members[i].Name), members[i].Scheme
	}
	if slices.ContainsFunc(members, func(e federation.Member) bool { return e.ID != m && e.Scheme == d.scheme }) {
		d.scheme = ""
	}
	return d, nil
}

// checkSchemes refuses labels of a publication that are marked in a scheme that the source
// alone has. In the delegation itself they may be: the other member marks anew.
func (d discretion) checkSchemes(portions []alert.Portion) error {
	for _, p := range portions {
		if d.scheme != "" && p.Label.Policy == d.scheme {
			return problem.New(problem.Malformed, "portion %s: its label is marked in %s, the scheme of the source", p.ID, d.scheme)
		}
	}
	return nil
}

// check refuses what names the member; with checked, it may stand in texts. Errors are of
// kind Malformed.
func (d discretion) check(portions []alert.Portion, checked bool) error {
	if err := d.checkForm(portions); err != nil || checked {
		return err
	}
	places, err := d.mentions(portions)
	if err != nil || len(places) == 0 {
		return err
	}
	return problem.New(problem.Malformed, "%s is named in %s: look at the text, and say that it was checked if it does not give the source away",
		d.member, strings.Join(places, "; "))
}

// checkForm refuses objects that name their source: created_by_ref, and what stands for
// the member or for an alert.
func (d discretion) checkForm(portions []alert.Portion) error {
	for _, p := range portions {
		for _, raw := range p.Content.Objects {
			var o map[string]any
			if err := json.Unmarshal(raw, &o); err != nil {
				return problem.New(problem.Malformed, "%w", err)
			}
			if what := d.names(o); what != "" {
				return problem.New(problem.Malformed, "portion %s: %s %s, by which the source of the delegation could be told", p.ID, o["id"], what)
			}
		}
	}
	return nil
}

// names says by what an object names its source, "" if by nothing.
func (d discretion) names(o map[string]any) string {
	if hasProperty(o, "created_by_ref") {
		return "has the property created_by_ref"
	}
	text := func(property string) string { s, _ := o[property].(string); return strings.TrimSpace(s) }
	switch name := text("name"); {
	case text("type") == standInType:
		return "is of type " + standInType + ", which stands for an alert of somebody's"
	case text("type") == "identity" && (name == string(d.member) || d.name != "" && strings.EqualFold(name, d.name)):
		return fmt.Sprintf("stands for %s, by the property name", d.member)
	}
	return ""
}

// hasProperty reports whether a value has a property of that name, at any depth.
func hasProperty(v any, property string) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if name == property || hasProperty(value, property) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return hasProperty(e, property) })
	}
	return false
}

// maxMentions bounds how many places are named.
const maxMentions = 10

// mentions returns the places in which the member is named, up to maxMentions.
func (d discretion) mentions(portions []alert.Portion) ([]string, error) {
	var places []string
	for _, p := range portions {
		if d.in(p.Notice) {
			places = append(places, fmt.Sprintf("the notice of portion %s", p.ID))
		}
		for _, l := range []*alert.Label{p.Label, p.Content.Publish} {
			if l != nil && d.in(l.HandlingText) {
				places = append(places, fmt.Sprintf("handling_text of portion %s", p.ID))
			}
		}
		for _, raw := range p.Content.Objects {
			var o map[string]any
			if err := json.Unmarshal(raw, &o); err != nil {
				return nil, problem.New(problem.Malformed, "%w", err)
			}
			d.walk(o, fmt.Sprint(o["id"], " "), &places)
		}
	}
	places = slices.Compact(places)
	return places[:min(len(places), maxMentions)], nil
}

// walk adds the places of a value in which the member is named, as JSON pointers (RFC 6901).
func (d discretion) walk(v any, path string, places *[]string) {
	switch v := v.(type) {
	case string:
		if d.in(v) {
			*places = append(*places, path)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			below := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			if d.in(name) {
				*places = append(*places, below)
			}
			d.walk(v[name], below, places)
		}
	case []any:
		for i, e := range v {
			d.walk(e, fmt.Sprintf("%s/%d", path, i), places)
		}
	}
}

// in reports whether the member's code, as it is written, or its name, in whatever case,
// stands in a text as a word; or its code in small letters as part of a technical name, as
// in x_xa_case, x-xa-vehicle--…, police.xa or fr-xa: STIX 2.1 section 11.1 has names of custom
// properties and types in small letters.
func (d discretion) in(text string) bool {
	small := strings.ToLower(string(d.member))
	for begin, end := range words(text, small) {
		if begin > 0 && strings.ContainsRune("_-.@", rune(text[begin-1])) || end < len(text) && strings.ContainsRune("_-@", rune(text[end])) {
			return true
		}
	}
	return has(words(text, string(d.member))) || d.name != "" && has(words(strings.ToLower(text), strings.ToLower(d.name)))
}

func has(places iter.Seq2[int, int]) bool {
	for range places {
		return true
	}
	return false
}

// words returns where a word begins and ends in a text with neither letter nor digit beside it.
func words(text, word string) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for from := 0; ; {
			i := strings.Index(text[from:], word)
			if i < 0 {
				return
			}
			begin, end := from+i, from+i+len(word)
			before, _ := utf8.DecodeLastRuneInString(text[:begin])
			after, _ := utf8.DecodeRuneInString(text[end:])
			if !inWord(before) && !inWord(after) && !yield(begin, end) {
				return
			}
			from = begin + 1
		}
	}
}

func inWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
