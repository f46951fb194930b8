package federation

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/entente-hub/entente/api/alert"
)

const alertID = "01890a5d-ac96-774b-bcce-b302099a8057"

func thumbprint(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func key(owner, name string) Key {
	return Key(fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":"%s","kid":"%s"}`, thumbprint(name), owner+"/"+thumbprint(name)))
}

// bodies returns one valid body of each type, with every field in use.
func bodies() map[StatementType]Body {
	member := func(id alert.MemberID, level alert.Classification) Member {
		return Member{ID: id, Name: "Member " + string(id), RootKeys: []Key{key(string(id), "root 1"), key(string(id), "root 2")}, Ceiling: level}
	}
	suspended := member("XD", alert.Restricted)
	suspended.Suspended = true
	return map[StatementType]Body{
		TypeRegistry: &Registry{
			Federation: "regional", Members: []Member{member("XA", alert.Secret), member("XB", alert.TopSecret), suspended},
			Communities: []Community{{ID: "coastal", Members: []alert.MemberID{"XA", "XB"}}},
			TaskForces:  []TaskForce{{ID: "tf-sea", Name: "Sea", Lead: "XA"}},
			Hub:         Hub{ID: "hub-1", Keys: []Key{key("hub-1", "hub")}}, Schemes: []Scheme{PlainScheme("urn:entente:policy:regional:1", "regional"), someScheme()},
			PolicyOfficers: PolicyOfficer{Quorum: 2, Keys: []Key{key("officer-1", "o1"), key("officer-2", "o2")}},
			Auditors:       []Auditor{{Name: "auditor-1", Keys: []Key{key("auditor-1", "a1"), key("auditor-1", "a2")}}, {Name: "court", Keys: []Key{key("court", "c")}}},
			Rules:          Rules{MaxRetentionDays: 365, TrailRetentionDays: MinTrailRetentionDays},
		},
		TypeNodeKey: &NodeKey{Member: "XA", KeyID: "XA/" + thumbprint("node"), Key: key("XA", "node"), NotBefore: 1_800_000_000, NotAfter: 1_900_000_000, Revoked: 1_850_000_000},
		TypeRoster:  &Roster{TaskForce: "tf-sea", Members: []alert.MemberID{"XA", "XB"}},
		TypeAgreement: &Agreement{
			ID: "xa-xb-smuggling", Title: "Smuggling", Parties: []alert.MemberID{"XA", "XB", "XC"}, From: []alert.MemberID{"XA"}, To: []alert.MemberID{"XB", "XC"},
			Categories: []alert.Category{"smuggling", "visa"}, MaxClassification: alert.Secret, PersonalData: alert.Personal,
			Purposes: []alert.Purpose{"investigation"}, RetentionDays: 90, Onward: true, ValidFrom: 1_800_000_000, ValidUntil: 1_900_000_000,
		},
		TypeSuspension: &Suspension{Agreement: "xa-xb-smuggling", Party: "XA", Suspended: true, Reason: "under review"},
		TypeConsent:    &Consent{Originator: "XA", Alert: alertID, Recipients: []alert.Audience{"XB", "coastal"}},
		TypePolicy:     &Policy{Name: "release", Digest: thumbprint("bundle"), Bundle: 1},
		TypeDuty:       &DutyOfficers{Member: "XA", Officers: []Key{key("XA.ada", "ada"), key("XA.ben", "ben")}},
		TypeEmergency: &Emergency{Originator: "XA", Alert: alertID, Number: 3, Threat: "a boat is sinking, as its crew says", Duty: "law of rescue at sea",
			Members: []alert.MemberID{"XB", "XC"}, Compartments: []alert.TaskForceID{"tf-sea"}, ValidFrom: 1_800_000_000, ValidUntil: 1_800_000_000 + 72*3600},
		TypeLegalHold: &LegalHold{ID: "case-2026-7", Reason: "proceedings before the court", Scope: HoldScope{Members: []alert.MemberID{"XA", "XB"}},
			ValidFrom: 1_800_000_000, ValidUntil: 1_900_000_000},
	}
}

var subjects = map[StatementType]string{
	TypeRegistry: "regional", TypeNodeKey: "XA/" + thumbprint("node"), TypeRoster: "tf-sea", TypeAgreement: "xa-xb-smuggling",
	TypeSuspension: "xa-xb-smuggling/XA", TypeConsent: "XA/" + alertID, TypePolicy: "release",
	TypeDuty: "XA", TypeEmergency: "XA/" + alertID + "/3", TypeLegalHold: "case-2026-7",
}

type object = map[string]any

// refusals lists, for each type of body, members to set (nil: JSON null;
// gone{}: left out) that make it invalid.
var refusals = map[StatementType]map[string]object{
	TypeRegistry: {
		"no federation": {"federation": gone{}}, "federation in capitals": {"federation": "Regional"}, "no members": {"members": []any{}},
		"members missing": {"members": gone{}}, "members null": {"members": nil}, "member twice": {"members": []any{mem("XA"), mem("XB"), mem("XA")}},
		"member without id": {"members": []any{with(mem("XA"), "id", gone{})}}, "member in lower case": {"members": []any{with(mem("XA"), "id", "xa")}},
		"no ceiling": {"members": []any{mem("XB"), with(mem("XA"), "ceiling", gone{})}}, "ceiling unknown": {"members": []any{with(mem("XA"), "ceiling", "cosmic")}},
		"ceiling null": {"members": []any{with(mem("XA"), "ceiling", nil)}}, "member field": {"members": []any{with(mem("XA"), "Ceiling", "secret")}},
		"no root key": {"members": []any{with(mem("XA"), "root_keys", []any{})}}, "root key null": {"members": []any{with(mem("XA"), "root_keys", []any{nil})}},
		"root key without kid": {"members": []any{with(mem("XA"), "root_keys", []any{object{"kty": "OKP"}})}}, "root key a string": {"members": []any{with(mem("XA"), "root_keys", []any{"k"})}},
		"root key KID":         {"members": []any{with(mem("XA"), "root_keys", []any{object{"KID": "XA/" + thumbprint("r")}})}},
		"root key twice":       {"members": []any{with(mem("XA"), "root_keys", []any{key("XA", "r"), key("XA", "r")})}},
		"root key of another":  {"members": []any{mem("XB"), with(mem("XA"), "root_keys", []any{key("XB", "r")})}},
		"kid without a digest": {"members": []any{with(mem("XA"), "root_keys", []any{object{"kid": "XA/1"}})}},
		"bidi in name":         {"members": []any{mem("XB"), with(mem("XA"), "name", "a\u202eb")}}, "control in name": {"members": []any{mem("XB"), with(mem("XA"), "name", "\x1b[2J")}},
		"community federation": {"communities": []any{object{"id": "federation", "members": []any{"XA"}}}}, "community of strangers": {"communities": []any{object{"id": "coastal", "members": []any{"XZ"}}}},
		"community member twice": {"communities": []any{object{"id": "coastal", "members": []any{"XA", "XA"}}}}, "community without id": {"communities": []any{object{"members": []any{"XA"}}}},
		"community twice":         {"communities": []any{object{"id": "coastal", "members": []any{"XA"}}, object{"id": "coastal", "members": []any{"XB"}}}},
		"task force as community": {"task_forces": []any{object{"id": "coastal", "name": "x", "lead": "XA"}}}, "lead a stranger": {"task_forces": []any{object{"id": "tf", "name": "x", "lead": "XZ"}}},
		"no lead": {"task_forces": []any{object{"id": "tf", "name": "x"}}}, "task force twice": {"task_forces": []any{object{"id": "tf", "name": "x", "lead": "XA"}, object{"id": "tf", "name": "x", "lead": "XB"}}},
		"task force name": {"task_forces": []any{object{"id": "tf", "name": "\u2066", "lead": "XA"}}}, "no hub": {"hub": gone{}}, "hub null": {"hub": nil}, "hub without id": {"hub": object{"keys": []any{key("hub-1", "h")}}},
		"hub without keys": {"hub": object{"id": "hub-1", "keys": []any{}}}, "hub key twice": {"hub": object{"id": "hub-1", "keys": []any{key("hub-1", "h"), key("hub-1", "h")}}}, "hub id": {"hub": object{"id": "Hub", "keys": []any{key("hub-1", "h")}}},
		"no schemes": {"schemes": []any{}}, "schemes missing": {"schemes": gone{}}, "scheme twice": {"schemes": []any{national(), national()}}, "scheme no URN": {"schemes": []any{with(national(), "urn", "regional")}},
		"scheme a word": {"schemes": []any{"urn:a:b"}}, "scheme without urn": {"schemes": []any{with(national(), "urn", gone{})}}, "scheme null": {"schemes": []any{nil}}, "scheme field": {"schemes": []any{with(national(), "x", 1)}},
		"scheme title": {"schemes": []any{with(national(), "title", "\u202e")}}, "scheme without levels": {"schemes": []any{with(national(), "levels", []any{})}}, "scheme levels null": {"schemes": []any{with(national(), "levels", nil)}},
		"level twice": names("secret", "A", "secret", "B"), "level unknown": names("cosmic", "A"), "level in capitals": names("Secret", "A"), "level empty": names("", "A"),
		"level without level": {"schemes": []any{with(national(), "levels", []any{object{"names": []any{"A"}}})}}, "level without names": {"schemes": []any{with(national(), "levels", []any{object{"level": "secret"}})}},
		"level of no names": {"schemes": []any{with(national(), "levels", []any{object{"level": "secret", "names": []any{}}})}}, "level names null": {"schemes": []any{with(national(), "levels", []any{object{"level": "secret", "names": nil}})}},
		"name of two levels": names("secret", "A", "restricted", "A"), "name in capitals of another": names("secret", "Geheim", "restricted", "GEHEIM"), "name twice of one": names("secret", "A", "secret", "A"),
		"name folds, sharp s": names("secret", "GRO\u00dfE", "restricted", "GRO\u1e9eE"), "name folds, kelvin": names("secret", "K", "restricted", "\u212a"), "name folds, dotless": names("secret", "I", "restricted", "\u0131"),
		"name empty": names("secret", ""), "name in blanks": names("secret", " A"), "name of two lines": names("secret", "A\nB"), "name with a tab": names("secret", "A\tB"), "name that reorders": names("secret", "A\u202e"),
		"name too long": names("secret", strings.Repeat("A", alert.MaxMarking+1)), "name a number": {"schemes": []any{with(national(), "levels", []any{object{"level": "secret", "names": []any{1}}})}},
		"member's scheme unknown": {"members": []any{mem("XB"), with(mem("XA"), "scheme", "urn:entente:policy:other:1")}}, "member's scheme in capitals": {"members": []any{mem("XB"), with(mem("XA"), "scheme", "URN:entente:policy:national:1")}},
		"member's scheme null": {"members": []any{mem("XB"), with(mem("XA"), "scheme", nil)}}, "quorum of one": {"policy_officers": object{"quorum": 1, "keys": []any{key("o", "1"), key("p", "2")}}},
		"no officers": {"policy_officers": object{"quorum": 1, "keys": []any{}}}, "quorum 0": {"policy_officers": object{"quorum": 0, "keys": []any{key("o", "1")}}}, "quorum negative": {"policy_officers": object{"quorum": -1, "keys": []any{key("o", "1")}}},
		"quorum over": {"policy_officers": object{"quorum": 2, "keys": []any{key("o", "1")}}}, "one officer twice": {"policy_officers": object{"quorum": 2, "keys": []any{key("o", "1"), key("o", "1")}}}, "officers missing": {"policy_officers": gone{}},
		"auditor twice": {"auditors": []any{auditor("a1"), auditor("a1")}}, "auditor empty": {"auditors": []any{auditor("")}}, "auditor a word": {"auditors": []any{"a1"}},
		"auditor in capitals": {"auditors": []any{auditor("XA")}}, "auditor as the authority": {"auditors": []any{auditor("authority")}}, "auditor null": {"auditors": []any{nil}},
		"auditor without keys": {"auditors": []any{with(auditor("a1"), "keys", []any{})}}, "auditor's key twice": {"auditors": []any{with(auditor("a1"), "keys", []any{key("a1", "k"), key("a1", "k")})}},
		"auditor's key of another": {"auditors": []any{with(auditor("a1"), "keys", []any{key("a2", "k")})}}, "auditor without keys at all": {"auditors": []any{with(auditor("a1"), "keys", gone{})}}, "auditor field": {"auditors": []any{with(auditor("a1"), "x", 1)}},
		"trail too short": trail(MinTrailRetentionDays - 1), "trail of a day": trail(1), "trail negative": trail(-1), "trail over": trail(maxDays + 1), "trail a fraction": {"rules": object{"max_retention_days": 1, "trail_retention_days": 30.5}},
		"no retention": {"rules": object{}}, "rules missing": {"rules": gone{}},
		"retention negative": {"rules": object{"max_retention_days": -1}}, "retention over": {"rules": object{"max_retention_days": maxDays + 1}}, "unknown rule": {"rules": object{"max_retention_days": 1, "x": 1}},
	},
	TypeNodeKey: {
		"no member": {"member": gone{}}, "no kid": {"kid": gone{}}, "kid empty": {"kid": ""}, "no key": {"key": gone{}}, "key null": {"key": nil}, "key a list": {"key": []any{}},
		"no nbf": {"nbf": gone{}}, "nbf 0": {"nbf": 0}, "no exp": {"exp": gone{}}, "exp at nbf": {"exp": 1_800_000_000}, "exp before nbf": {"exp": 1}, "exp over": {"exp": int64(alert.MaxTime) + 1},
		"revoked negative": {"revoked": -1}, "revoked over": {"revoked": int64(alert.MaxTime) + 1}, "kid of another": {"member": "XB"}, "kid of another key": {"key": key("XA", "other")}, "key of another": {"key": key("XB", "node")},
		"kid and key of another": {"kid": "XB/" + thumbprint("node"), "key": key("XB", "node")}, "unknown": {"use": "sig"},
	},
	TypeRoster: {
		"no task force": {"task_force": gone{}}, "no members": {"members": gone{}}, "members null": {"members": nil}, "member twice": {"members": []any{"XA", "XB", "XA"}}, "member in lower case": {"members": []any{"xa"}}, "lead": {"lead": "XA"},
	},
	TypeAgreement: {
		"no id": {"id": gone{}}, "id in capitals": {"id": "XA-XB"}, "title bidi": {"title": "\u202e"}, "title long": {"title": string(make([]byte, alert.MaxText+1))}, "no parties": {"parties": gone{}}, "one party": {"parties": []any{"XA"}},
		"party twice": {"parties": []any{"XA", "XB", "XC", "XA"}}, "from a stranger": {"from": []any{"XZ"}}, "to a stranger": {"to": []any{"XB", "XZ"}}, "from twice": {"from": []any{"XA", "XA"}}, "to twice": {"to": []any{"XB", "XB"}},
		"from nobody": {"from": []any{}}, "to nobody": {"to": []any{}}, "from null": {"from": nil},
		"no categories": {"categories": gone{}}, "categories empty": {"categories": []any{}}, "category unknown": {"categories": []any{"all"}}, "category twice": {"categories": []any{"visa", "visa"}},
		"no level": {"max_classification": gone{}}, "level unknown": {"max_classification": "Secret"}, "no personal data": {"personal_data": gone{}}, "personal data unknown": {"personal_data": "some"},
		"no purposes": {"purposes": gone{}}, "purposes empty": {"purposes": []any{}}, "purpose unknown": {"purposes": []any{"any"}}, "purpose twice": {"purposes": []any{"prevention", "prevention"}},
		"no retention": {"retention_days": gone{}}, "retention 0": {"retention_days": 0}, "retention negative": {"retention_days": -1}, "retention over": {"retention_days": maxDays + 1}, "no nbf": {"nbf": gone{}}, "nbf negative": {"nbf": -1},
		"no exp": {"exp": gone{}}, "exp at nbf": {"exp": 1_800_000_000}, "exp over": {"exp": int64(alert.MaxTime) + 1}, "onward as text": {"onward": "no"}, "onward null": {"onward": nil}, "unknown": {"note": ""},
	},
	TypeSuspension: {"no agreement": {"agreement": gone{}}, "no party": {"party": gone{}}, "suspended null": {"suspended": nil}, "reason": {"reason": "a\x00"}, "unknown": {"until": 1}},
	TypeConsent: {"no originator": {"originator": gone{}}, "no alert": {"alert": gone{}}, "alert UUIDv4": {"alert": "f47ac10b-58cc-4372-a567-0e02b2c3d479"},
		"no recipients": {"recipients": gone{}}, "recipients null": {"recipients": nil}, "recipient twice": {"recipients": []any{"XB", "XB"}}, "everybody": {"recipients": []any{"*"}}, "unknown": {"portion": "p"}},
	TypePolicy: {"no name": {"name": gone{}}, "name in capitals": {"name": "Release"}, "no digest": {"digest": gone{}}, "digest short": {"digest": "abc"}, "digest loose": {"digest": thumbprint("x")[:42] + "_"}, "unknown": {"x": 1},
		"no bundle": {"bundle": gone{}}, "bundle 0": {"bundle": 0}, "bundle negative": {"bundle": -1}, "bundle a word": {"bundle": "1"}, "bundle fraction": {"bundle": 1.5}},
	TypeDuty: {
		"no member": {"member": gone{}}, "member in lower case": {"member": "xa"}, "no officers": {"officers": gone{}}, "officers null": {"officers": nil}, "officer null": {"officers": []any{nil}},
		"of another member": {"officers": []any{key("XB.ada", "ada")}}, "one of another": {"officers": []any{key("XA.ada", "ada"), key("XB.ben", "ben")}}, "the member itself": {"officers": []any{key("XA", "ada")}},
		"no name": {"officers": []any{key("XA.", "ada")}}, "name in capitals": {"officers": []any{key("XA.Ada", "ada")}}, "no dot": {"officers": []any{key("XAada", "ada")}}, "two dots": {"officers": []any{key("XA.ada.b", "ada")}},
		"one person with two keys": {"officers": []any{key("XA.ada", "ada"), key("XA.ada", "another")}}, "one key twice": {"officers": []any{key("XA.ada", "ada"), key("XA.ada", "ada")}},
		"no kid": {"officers": []any{object{"kty": "OKP"}}}, "kid without a digest": {"officers": []any{object{"kid": "XA.ada/1"}}}, "unknown": {"until": 1},
	},
	TypeEmergency: {
		"no originator": {"originator": gone{}}, "originator in lower case": {"originator": "xa"}, "no alert": {"alert": gone{}}, "alert UUIDv4": {"alert": "f47ac10b-58cc-4372-a567-0e02b2c3d479"},
		"no number": {"number": gone{}}, "number 0": {"number": 0}, "number negative": {"number": -1}, "number fraction": {"number": 1.5},
		"no threat": {"threat": gone{}}, "threat empty": {"threat": ""}, "threat blank": {"threat": " \n\t"}, "threat reorders": {"threat": "\u202e"}, "threat long": {"threat": strings.Repeat("x", alert.MaxText+1)},
		"no duty": {"duty": gone{}}, "duty empty": {"duty": ""}, "duty blank": {"duty": " "}, "duty with controls": {"duty": "a\x00"},
		"no members": {"members": gone{}}, "members null": {"members": nil}, "members empty": {"members": []any{}}, "member twice": {"members": []any{"XB", "XC", "XB"}}, "a community": {"members": []any{"coastal"}}, "the originator": {"members": []any{"XB", "XA"}},
		"no compartments": {"compartments": gone{}}, "compartments null": {"compartments": nil}, "compartments empty": {"compartments": []any{}}, "compartment twice": {"compartments": []any{"tf-sea", "tf-sea"}}, "every compartment": {"compartments": []any{"*"}},
		"no nbf": {"nbf": gone{}}, "nbf 0": {"nbf": 0}, "nbf negative": {"nbf": -1}, "no exp": {"exp": gone{}}, "exp at nbf": {"exp": 1_800_000_000}, "exp before nbf": {"exp": 1_799_999_999}, "exp over": {"exp": int64(alert.MaxTime) + 1, "nbf": int64(alert.MaxTime)},
		"longer than 72 h": {"exp": 1_800_000_000 + 72*3600 + 1}, "longer by an earlier nbf": {"nbf": 1_799_999_999}, "far longer": {"nbf": 1}, "over at once": {"over": true}, "over null": {"over": nil}, "over a word": {"over": "yes"}, "unknown": {"release_list": []any{"XB"}},
	},
	TypeLegalHold: {
		"no id": {"id": gone{}}, "id in capitals": {"id": "Case"}, "id with a slash": {"id": "xa/1"}, "no reason": {"reason": gone{}}, "reason blank": {"reason": " \t"}, "reason reorders": {"reason": "\u202e"},
		"no scope": {"scope": gone{}}, "scope empty": {"scope": object{}}, "scope null": {"scope": nil}, "scope of nobody": {"scope": object{"members": []any{}}}, "scope of no alert": {"scope": object{"alerts": []any{}}}, "scope not all": {"scope": object{"all": false}},
		"all and a member": {"scope": object{"all": true, "members": []any{"XA"}}}, "member and alert": {"scope": object{"members": []any{"XA"}, "alerts": []any{alertID}}}, "member twice": {"scope": object{"members": []any{"XA", "XA"}}},
		"member in lower case": {"scope": object{"members": []any{"xa"}}}, "alert twice": {"scope": object{"alerts": []any{alertID, alertID}}}, "alert UUIDv4": {"scope": object{"alerts": []any{"f47ac10b-58cc-4372-a567-0e02b2c3d479"}}}, "scope unknown": {"scope": object{"all": true, "x": 1}},
		"nbf negative": {"nbf": -1}, "nbf over": {"nbf": int64(alert.MaxTime) + 1}, "exp negative": {"exp": -1}, "exp at nbf": {"exp": 1_800_000_000}, "exp before nbf": {"exp": 1}, "exp over": {"exp": int64(alert.MaxTime) + 1}, "lifted at once": {"lifted": true}, "lifted null": {"lifted": nil}, "unknown": {"release": true},
	},
}

func auditor(name string) object { return object{"name": name, "keys": []any{key(name, "k")}} }

func trail(days int) object {
	return object{"rules": object{"max_retention_days": 1, "trail_retention_days": days}}
}

type gone struct{}

// someScheme has several names for a level, and none for two of them.
func someScheme() Scheme {
	return Scheme{URN: "urn:entente:policy:national:1", Title: "national", Levels: []SchemeLevel{
		{Level: alert.Unclassified, Names: []string{"OUVERT"}}, {Level: alert.Restricted, Names: []string{"DIFFUSION RESTREINTE", "DR"}},
		{Level: alert.Secret, Names: []string{"SECRET"}}}}
}

func national() object {
	return object{"urn": "urn:entente:policy:national:1", "title": "national", "levels": []any{object{"level": "secret", "names": []any{"A"}}}}
}

// names is a registry's one scheme, of pairs of a level and its name.
func names(pairs ...string) object {
	var levels []any
	for i := 0; i < len(pairs); i += 2 {
		levels = append(levels, object{"level": pairs[i], "names": []any{pairs[i+1]}})
	}
	return object{"schemes": []any{with(national(), "levels", levels)}}
}

func mem(id string) object {
	return object{"id": id, "name": id, "root_keys": []any{key(id, "r")}, "ceiling": "secret"}
}

func with(o object, name string, v any) object {
	out := object{}
	for k, old := range o {
		out[k] = old
	}
	out[name] = v
	if _, ok := v.(gone); ok {
		delete(out, name)
	}
	return out
}

func toObject(v any) object {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var o object
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&o); err != nil {
		panic(err)
	}
	return o
}
