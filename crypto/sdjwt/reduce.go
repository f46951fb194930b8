package sdjwt

// Reduce drops disclosures from a token: those that keep says no to, and
// those whose parent is dropped, about which keep is not asked. It asks about
// parents first. The JWS stays untouched, and so does the order of the rest:
// the result verifies whenever the token does. Reduce needs no key, hence
// does not check the signature; a token that Parse refuses is an error.
func Reduce(token string, keep func(d Disclosure) bool) (string, error) {
	t, err := Parse(token)
	if err != nil {
		return "", err
	}
	// Whether a disclosure is kept, once decided.
	decided := make(map[int]bool, len(t.Disclosures))
	var kept func(i int) bool
	kept = func(i int) bool {
		if i < 0 {
			return true // the payload
		}
		if k, ok := decided[i]; ok {
			return k
		}
		d := t.Disclosures[i]
		decided[i] = kept(d.Parent) && keep(d)
		return decided[i]
	}
	var encoded []string
	for i, d := range t.Disclosures {
		if kept(i) {
			encoded = append(encoded, d.Encoded)
		}
	}
	return Assemble(t.JWS, encoded), nil
}
