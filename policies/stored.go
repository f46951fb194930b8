package policies

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

// ErrStored is wrapped by errors of Gained: the bytes are not what Marshal wrote.
var ErrStored = errors.New("stored audience")

// The encoding is text of three lines: the version of the form, the members that
// get content and those that learn of existence, each list sorted and separated
// by spaces.
const storedForm = "1"

// Marshal returns who gets content and who learns of existence, by name, so that
// it outlives the World. Audiences that give everybody the same have the same
// encoding; why others are refused is not part of it.
func (a *Audience) Marshal() []byte {
	return marshal(a.Content(), a.Existence())
}

// MarshalAudience is Audience.Marshal for a decision that is known by its lists.
func MarshalAudience(content, existence []alert.MemberID) []byte { return marshal(content, existence) }

func marshal(content, existence []alert.MemberID) []byte {
	return []byte(storedForm + "\n" + joined(content) + "\n" + joined(existence))
}

func joined(list []alert.MemberID) string {
	words := make([]string, len(list))
	for i, m := range list {
		words[i] = string(m)
	}
	return strings.Join(words, " ")
}

// unmarshal reads what marshal wrote and nothing else.
func unmarshal(stored []byte) (content, existence []alert.MemberID, err error) {
	lines := strings.Split(string(stored), "\n")
	if len(lines) != 3 || lines[0] != storedForm {
		return nil, nil, fmt.Errorf("%w: not of form %s", ErrStored, storedForm)
	}
	if content, err = sorted(lines[1]); err != nil {
		return nil, nil, err
	}
	if existence, err = sorted(lines[2]); err != nil {
		return nil, nil, err
	}
	for _, m := range existence {
		if _, both := slices.BinarySearch(content, m); both {
			return nil, nil, fmt.Errorf("%w: %s stands in both lists", ErrStored, m)
		}
	}
	return content, existence, nil
}

func sorted(line string) ([]alert.MemberID, error) {
	if line == "" {
		return nil, nil
	}
	var out []alert.MemberID
	for word := range strings.SplitSeq(line, " ") {
		m, err := alert.ParseMemberID(word)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStored, err)
		}
		if len(out) > 0 && out[len(out)-1] >= m {
			return nil, fmt.Errorf("%w: %s is out of order", ErrStored, m)
		}
		out = append(out, m)
	}
	return out, nil
}

// Gained compares a decision with one that Marshal encoded, nil standing for
// nothing to anybody: more are the members that get more now, less those that get
// less, both sorted. Who is no member any more counts as getting nothing. Errors
// wrap ErrStored.
func Gained(stored []byte, now *Audience) (more, less []alert.MemberID, err error) {
	before := make(map[alert.MemberID]feed.Kind)
	if stored != nil {
		content, existence, err := unmarshal(stored)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range content {
			before[m] = feed.Content
		}
		for _, m := range existence {
			before[m] = feed.Existence
		}
	}
	for m, kind := range now.All() {
		switch was, is := amount(before[m]), amount(kind); {
		case is > was:
			more = append(more, m)
		case is < was:
			less = append(less, m)
		}
		delete(before, m)
	}
	for m := range before {
		less = append(less, m)
	}
	slices.Sort(less)
	return more, less, nil
}

// amount orders the kinds; none given is none.
func amount(k feed.Kind) int {
	switch k {
	case feed.Content:
		return 2
	case feed.Existence:
		return 1
	}
	return 0
}
