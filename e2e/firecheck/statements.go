package firecheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// stated is a row of the hub's list of statements.
type stated struct {
	pos          int64
	typ, subject string
	rev          int64
	digest, prev string
	raw          []byte
	body         json.RawMessage
	iat          int64
	at           int64 // of a moment, at which the dates are looked at from then on
}

// momentType is a row by which the hubs agree on what time it is. Nobody signs it.
const momentType = "moment"

const statementType = "entente-statement+json"

// registry lists who is in the federation.
type registry struct {
	Members []struct {
		ID        string `json:"id"`
		RootKeys  []jwk  `json:"root_keys"`
		Ceiling   string `json:"ceiling"`
		Suspended bool   `json:"suspended"`
	} `json:"members"`
	Communities []struct {
		ID      string   `json:"id"`
		Members []string `json:"members"`
	} `json:"communities"`
	TaskForces []struct {
		ID   string `json:"id"`
		Lead string `json:"lead"`
	} `json:"task_forces"`
	Hub struct {
		ID   string `json:"id"`
		Keys []jwk  `json:"keys"`
	} `json:"hub"`
	PolicyOfficers struct {
		Quorum int   `json:"quorum"`
		Keys   []jwk `json:"keys"`
	} `json:"policy_officers"`
}

type nodeKey struct {
	Member  string `json:"member"`
	Kid     string `json:"kid"`
	Key     jwk    `json:"key"`
	Nbf     int64  `json:"nbf"`
	Exp     int64  `json:"exp"`
	Revoked int64  `json:"revoked"`
}

// good reports whether what was signed with the key at a moment counts.
func (k nodeKey) good(at int64) bool {
	return k.Nbf <= at && at < k.Exp && (k.Revoked == 0 || at < k.Revoked)
}

// agreement is a version of one; digest and rev are its statement's.
type agreement struct {
	ID           string   `json:"id"`
	Parties      []string `json:"parties"`
	From         []string `json:"from"`
	To           []string `json:"to"`
	Categories   []string `json:"categories"`
	Max          string   `json:"max_classification"`
	PersonalData string   `json:"personal_data"`
	Purposes     []string `json:"purposes"`
	Days         int64    `json:"retention_days"`
	Onward       bool     `json:"onward"`
	Nbf          int64    `json:"nbf"`
	Exp          int64    `json:"exp"`
	digest       string
	until        int64 // its end, or when the next version begins
}

type suspension struct {
	Agreement string `json:"agreement"`
	Party     string `json:"party"`
	Suspended bool   `json:"suspended"`
}

type consent struct {
	Originator string   `json:"originator"`
	Alert      string   `json:"alert"`
	Recipients []string `json:"recipients"`
}

type roster struct {
	TaskForce string   `json:"task_force"`
	Members   []string `json:"members"`
}

type policy struct {
	Digest string `json:"digest"`
}

// book is all that is stated up to a place of the list: of each chain its head.
type book struct {
	authority   jwk
	heads       map[[2]string]*stated
	registry    *registry
	nodeKeys    map[string]nodeKey
	agreements  map[string][]agreement // versions that may count, oldest first
	suspensions map[string]suspension
	consents    map[string]consent
	rosters     map[string]roster
	policy      string
	at          int64
}

func newBook(authority jwk) *book {
	return &book{authority: authority, heads: make(map[[2]string]*stated), nodeKeys: make(map[string]nodeKey),
		agreements: make(map[string][]agreement), suspensions: make(map[string]suspension), consents: make(map[string]consent),
		rosters: make(map[string]roster)}
}

var errBeyond = errors.New("beyond what this checker can judge")

// take verifies a row and brings it into force.
func (b *book) take(s *stated) error {
	if s.typ == momentType {
		var m struct {
			At int64 `json:"at"`
		}
		if err := json.Unmarshal(s.raw, &m); err != nil {
			return err
		}
		b.at, s.at = m.At, m.At
		return nil
	}
	raw, kids, err := openGeneral(s.raw, statementType, b.key)
	if err != nil {
		return err
	}
	var p struct {
		Type string          `json:"type"`
		Sub  string          `json:"sub"`
		Rev  int64           `json:"rev"`
		Prev string          `json:"prev"`
		Iat  int64           `json:"iat"`
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	head := b.heads[[2]string{p.Type, p.Sub}]
	switch {
	case p.Type != s.typ || p.Sub != s.subject || p.Rev != s.rev || p.Prev != s.prev || digestOf(raw) != s.digest:
		return errors.New("the row says other than what is signed")
	case head == nil && p.Rev != 1, head != nil && (p.Rev != head.rev+1 || p.Prev != head.digest):
		return errors.New("it does not follow the one before")
	}
	s.body, s.iat = p.Body, p.Iat
	if err := b.enter(s, kids); err != nil {
		return err
	}
	b.heads[[2]string{p.Type, p.Sub}] = s
	return nil
}

// key finds any key that may sign a statement.
func (b *book) key(kid string) (jwk, bool) {
	if kid == b.authority.Kid {
		return b.authority, true
	}
	if k, ok := b.nodeKeys[kid]; ok {
		return k.Key, true
	}
	if b.registry == nil {
		return jwk{}, false
	}
	list := slices.Clone(b.registry.PolicyOfficers.Keys)
	for _, m := range b.registry.Members {
		list = append(list, m.RootKeys...)
	}
	i := slices.IndexFunc(list, func(k jwk) bool { return k.Kid == kid })
	if i < 0 {
		return jwk{}, false
	}
	return list[i], true
}

// signedBy reports whether each of some members has signed with a root key.
func (b *book) signedBy(kids []string, members ...string) error {
	for _, m := range members {
		ok := false
		for _, entry := range b.registry.Members {
			for _, k := range entry.RootKeys {
				ok = ok || entry.ID == m && slices.Contains(kids, k.Kid)
			}
		}
		if !ok {
			return fmt.Errorf("%s has not signed it", m)
		}
	}
	return nil
}

// signedByAny reports whether a member has signed with a root or a node key.
func (b *book) signedByAny(kids []string, m string) error {
	if slices.ContainsFunc(kids, func(kid string) bool { return b.nodeKeys[kid].Member == m }) {
		return nil
	}
	return b.signedBy(kids, m)
}

func (b *book) enter(s *stated, kids []string) error {
	if b.registry == nil && s.typ != "registry" {
		return errors.New("before there is a registry")
	}
	switch s.typ {
	case "registry":
		return b.enterRegistry(s, kids)
	case "node-key":
		v, err := read[nodeKey](s)
		b.nodeKeys[v.Kid] = v
		return errors.Join(err, b.signedBy(kids, v.Member))
	case "roster":
		v, err := read[roster](s)
		b.rosters[v.TaskForce] = v
		lead := ""
		for _, t := range b.registry.TaskForces {
			if t.ID == v.TaskForce {
				lead = t.Lead
			}
		}
		return errors.Join(err, b.signedBy(kids, lead))
	case "agreement":
		return b.enterAgreement(s, kids)
	case "suspension":
		v, err := read[suspension](s)
		b.suspensions[s.subject] = v
		if v.Suspended { // a node's key can stop a flow, not start it
			return errors.Join(err, b.signedByAny(kids, v.Party))
		}
		return errors.Join(err, b.signedBy(kids, v.Party))
	case "consent":
		v, err := read[consent](s)
		b.consents[s.subject] = v
		return errors.Join(err, b.signedByAny(kids, v.Originator))
	case "policy":
		v, err := read[policy](s)
		b.policy = v.Digest
		officers := 0
		for _, k := range b.registry.PolicyOfficers.Keys {
			if slices.Contains(kids, k.Kid) {
				officers++
			}
		}
		if officers < max(b.registry.PolicyOfficers.Quorum, 1) {
			err = errors.Join(err, fmt.Errorf("signed by %d policy officers", officers))
		}
		return err
	case "duty-officers":
		return b.signedBy(kids, s.subject)
	}
	return fmt.Errorf("%w: a statement of type %s", errBeyond, s.typ)
}

func read[T any](s *stated) (T, error) {
	var v T
	err := json.Unmarshal(s.body, &v)
	return v, err
}

// enterRegistry takes in a registry. What follows when a member leaves or changes its
// root keys is not worked out here.
func (b *book) enterRegistry(s *stated, kids []string) error {
	v, err := read[registry](s)
	if err != nil {
		return err
	}
	if !slices.Contains(kids, b.authority.Kid) {
		return errors.New("the authority has not signed it")
	}
	if b.registry != nil {
		roots := func(r *registry) map[string]bool {
			set := make(map[string]bool)
			for _, m := range r.Members {
				for _, k := range m.RootKeys {
					set[k.Kid] = true
				}
			}
			for _, t := range r.TaskForces {
				set["task force "+t.ID+" "+t.Lead] = true
			}
			return set
		}
		if !maps.Equal(roots(b.registry), roots(&v)) {
			return fmt.Errorf("%w: members, root keys or task forces have changed", errBeyond)
		}
	}
	b.registry = &v
	return nil
}

// enterAgreement adds a version: those before it count until it begins, and what does
// not begin before it counts no more.
func (b *book) enterAgreement(s *stated, kids []string) error {
	v, err := read[agreement](s)
	if err != nil {
		return err
	}
	v.digest, v.until = s.digest, v.Exp
	var list []agreement
	for _, old := range b.agreements[v.ID] {
		if old.Nbf < v.Nbf {
			old.until = min(old.until, v.Nbf)
			list = append(list, old)
		}
	}
	b.agreements[v.ID] = append(list, v)
	return b.signedBy(kids, v.Parties...)
}
