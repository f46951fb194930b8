package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
)

// What feedback says in STIX 2.1: a note for the text, a sighting for what was seen, and
// whatever objects its author adds. A note must name objects (section 4.12). The alert
// itself is none, and of a hit no object is held: so an object of a type of its own
// stands for the alert, or for a portion that is known to exist, and says nothing that
// whoever may know of the reference does not know. It is the same whoever makes it.

// Sighting says what was seen (STIX 2.1 section 5.2).
type Sighting struct {
	Of        string // id of an object held of the alert, or among those that go with it; "": the only one that can be sighted
	Count     *int   // 0 to 999,999,999; nil: not said
	FirstSeen time.Time
	LastSeen  time.Time
	Where     []string // countries (ISO 3166-1 alpha-2), or ids of identities or locations, held or that go with it
}

const (
	maxSightings = 999_999_999 // STIX 2.1 section 5.2.1, count
	standInType  = "x-entente-alert"
	stixTime     = "2006-01-02T15:04:05.000Z"
)

// feedbackNamespace makes the ids of objects composed here, by RFC 9562 section 5.5.
var feedbackNamespace = uuid.MustParse("3f6b1f0e-6a52-4d0b-9a37-5c1f6a1f8f10")

var countryRE = regexp.MustCompile(`^[A-Z]{2}$`)

// stixHead begins every object that is composed here.
type stixHead struct {
	Type     string `json:"type"`
	Spec     string `json:"spec_version"`
	ID       string `json:"id"`
	Created  string `json:"created"`
	Modified string `json:"modified"`
}

type standIn struct {
	stixHead
	Originator alert.MemberID  `json:"originator"`
	Alert      alert.ID        `json:"alert"`
	Portion    alert.PortionID `json:"portion,omitempty"`
}

type note struct {
	stixHead
	Abstract string   `json:"abstract"`
	Content  string   `json:"content"`
	Refs     []string `json:"object_refs"`
}

type sighting struct {
	stixHead
	Description string   `json:"description,omitempty"`
	FirstSeen   string   `json:"first_seen,omitempty"`
	LastSeen    string   `json:"last_seen,omitempty"`
	Count       *int     `json:"count,omitempty"`
	Of          string   `json:"sighting_of_ref"`
	Where       []string `json:"where_sighted_refs,omitempty"`
}

type location struct {
	stixHead
	Country string `json:"country"`
}

// head makes the head of an object whose id follows from its type and from what it says.
func head(typ string, at time.Time, says ...string) stixHead {
	name := strings.Join(append([]string{typ}, says...), "\x00")
	stamp := at.UTC().Format(stixTime)
	return stixHead{typ, "2.1", typ + "--" + uuid.NewSHA1(feedbackNamespace, []byte(name)).String(), stamp, stamp}
}

// say makes the objects of feedback to members.
func (s *subject) say(f FeedbackDraft, to []alert.MemberID, now time.Time) ([]json.RawMessage, error) {
	w := &writing{now: now, objects: slices.Clone(f.Objects), ids: make(map[string]string)}
	brought := false // a sighting
	for i, o := range f.Objects {
		ref, err := alert.ParseObjectRef(o)
		if err != nil {
			return nil, fmt.Errorf("objects[%d]: %w", i, err)
		}
		w.know(ref)
		brought = brought || ref.Type == "sighting"
	}
	if f.Act != alert.Request { // which names nothing of what is held
		w.hold(s.portions)
	}
	seen := f.Act == alert.Sighting && !(brought && f.Sighting == nil)
	if seen {
		if err := w.sight(f); err != nil {
			return nil, err
		}
	}
	refs, err := w.about(f.About)
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 && !seen {
		for _, i := range s.standIns(f.Act, to) {
			refs = append(refs, i.ID)
			if err := w.add(i); err != nil {
				return nil, err
			}
		}
	}
	if f.Text == "" || seen {
		return w.objects, nil
	}
	n := note{Abstract: string(f.Act), Content: f.Text, Refs: refs}
	n.stixHead = head("note", now, slices.Concat([]string{string(f.Originator), string(f.Alert), n.Abstract, n.Content}, refs)...)
	return w.objects, w.add(n)
}

// standIns returns what stands for the alert that the feedback is about: for the portions
// that are known to exist where its originator is asked about them, else for the whole.
func (s *subject) standIns(act alert.Act, to []alert.MemberID) []standIn {
	var list []standIn
	whole := standIn{Originator: s.re.Originator, Alert: s.re.Alert}
	if act == alert.Request && len(to) == 1 && to[0] == s.re.Originator { // others may know of other portions
		for _, p := range s.portions {
			if p.Label == nil {
				part := whole
				part.Portion = p.ID
				list = append(list, part)
			}
		}
	}
	if len(list) == 0 {
		list = append(list, whole)
	}
	at := time.Unix(0, 0)
	if id, err := uuid.Parse(string(s.re.Alert)); err == nil { // a UUIDv7, which has a time in it
		at = time.Unix(id.Time().UnixTime())
	}
	for i := range list {
		list[i].stixHead = head(standInType, at, string(list[i].Originator), string(list[i].Alert), string(list[i].Portion))
	}
	return list
}

// writing gathers the objects of feedback.
type writing struct {
	now     time.Time
	objects []json.RawMessage
	ids     map[string]string // of the objects that may be referred to: in lower case, and as they are written
	sighted []string          // those that a sighting is of unless it says otherwise
}

// know notes an object that may be referred to.
func (w *writing) know(ref alert.ObjectRef) {
	w.ids[strings.ToLower(ref.ID)] = ref.ID
	if !slices.Contains(notSighted, ref.Type) && !slices.Contains(aside, ref.Type) {
		w.sighted = append(w.sighted, ref.ID)
	}
}

// hold notes the objects that are held of the alert. Where there are any, a sighting that
// does not say of what it is, is of one of them.
func (w *writing) hold(portions []alert.Portion) {
	brought := w.sighted
	w.sighted = nil
	for _, p := range portions {
		if p.Content == nil {
			continue
		}
		for _, o := range p.Content.Objects {
			if ref, err := alert.ParseObjectRef(o); err == nil { // it was parsed with the alert
				w.know(ref)
			}
		}
	}
	if len(w.sighted) == 0 {
		w.sighted = brought
	}
}

// find returns an id as the object has it that may be referred to.
func (w *writing) find(id string) (string, error) {
	if as, ok := w.ids[strings.ToLower(id)]; ok {
		return as, nil
	}
	return "", fmt.Errorf("object %.80q is neither among those that go with it nor, where it may be named, held of the alert", id)
}

// about returns the ids of the objects that a text is about, sorted.
func (w *writing) about(ids []string) ([]string, error) {
	var refs []string
	for _, id := range ids {
		ref, err := w.find(id)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	slices.Sort(refs)
	return slices.Compact(refs), nil
}

func (w *writing) add(v any) error {
	raw, err := json.Marshal(v)
	if err == nil {
		w.objects = append(w.objects, raw)
	}
	return err
}

// sight adds a sighting.
func (w *writing) sight(f FeedbackDraft) error {
	given := f.Sighting
	if given == nil {
		given = &Sighting{}
	}
	if err := given.check(w.now); err != nil {
		return err
	}
	s := sighting{Description: f.Text, FirstSeen: stamp(given.FirstSeen), LastSeen: stamp(given.LastSeen), Count: given.Count}
	var err error
	if s.Of, err = w.sightedOf(given.Of); err != nil {
		return err
	}
	for _, at := range given.Where {
		ref, err := w.where(at)
		if err != nil {
			return err
		}
		s.Where = append(s.Where, ref)
	}
	slices.Sort(s.Where)
	s.Where = slices.Compact(s.Where)
	count := ""
	if s.Count != nil {
		count = strconv.Itoa(*s.Count)
	}
	s.stixHead = head("sighting", w.now, slices.Concat([]string{string(f.Originator), string(f.Alert), s.Description,
		s.FirstSeen, s.LastSeen, count, s.Of, stamp(w.now)}, s.Where)...)
	return w.add(s)
}

// check refuses a sighting that STIX does not allow, or that lies ahead.
func (s *Sighting) check(now time.Time) error {
	for _, at := range []time.Time{s.FirstSeen, s.LastSeen} {
		if at.After(now.Add(alert.MaxSkew)) {
			return fmt.Errorf("seen at %s, which lies ahead", at.UTC().Format(time.RFC3339))
		}
	}
	switch {
	case s.Count != nil && (*s.Count < 0 || *s.Count > maxSightings):
		return fmt.Errorf("seen %d times: 0 to %d", *s.Count, maxSightings)
	case !s.FirstSeen.IsZero() && !s.LastSeen.IsZero() && s.LastSeen.Before(s.FirstSeen):
		return errors.New("last seen before it was first seen")
	case len(s.Where) > alert.MaxList:
		return fmt.Errorf("seen in more than %d places", alert.MaxList)
	}
	return nil
}

// sightedOf returns the id of the object that was seen.
func (w *writing) sightedOf(id string) (string, error) {
	if id == "" {
		if len(w.sighted) != 1 {
			return "", fmt.Errorf("a sighting is of one object, and %d could be meant: say which, or add it", len(w.sighted))
		}
		return w.sighted[0], nil
	}
	ref, err := w.find(id)
	if typ, _, _ := strings.Cut(ref, "--"); err == nil && slices.Contains(notSighted, typ) {
		return "", fmt.Errorf("a sighting can not be of a %s (STIX 2.1 section 5.2)", typ)
	}
	return ref, err
}

// where returns the id of the place, or of whoever has seen it; a country becomes a
// location that goes with the sighting.
func (w *writing) where(at string) (string, error) {
	if countryRE.MatchString(at) {
		l := location{head("location", w.now, at), at}
		l.ID = head("location", w.now, at, l.Created).ID
		if _, ok := w.ids[l.ID]; ok {
			return l.ID, nil
		}
		w.ids[l.ID] = l.ID
		return l.ID, w.add(l)
	}
	ref, err := w.find(at)
	if typ, _, _ := strings.Cut(ref, "--"); err == nil && typ != "identity" && typ != "location" {
		return "", fmt.Errorf("where it was sighted is told by an identity or a location, not by a %s (STIX 2.1 section 5.2)", typ)
	}
	return ref, err
}

// stamp writes a time as STIX does, to the millisecond (section 3.13); zero: "".
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(stixTime)
}

// notSighted are the types of STIX 2.1 that a sighting is not of: cyber-observable
// objects, relationships, meta objects (sections 5 to 7).
var notSighted = []string{"artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file",
	"ipv4-addr", "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url", "user-account",
	"windows-registry-key", "x509-certificate", "relationship", "sighting", "extension-definition", "language-content", "marking-definition"}

// aside are types that a sighting can be of, and is of only where it says so: they stand
// beside what is seen, as who has seen it, where, and what is said about it.
var aside = []string{"identity", "location", "note", "opinion", "report", "grouping", "observed-data"}
