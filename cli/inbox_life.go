package cli

import (
	"fmt"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
)

// current is the standing of an alert version that is the last which is here.
const current = "current"

// standingOf says in two or three words how a received version stands.
func standingOf(a nodeapi.Received) string {
	switch {
	case a.Recall != nil && a.Recall.Mode == alert.CeaseUse:
		return "RECALLED, cease use"
	case a.Recall != nil:
		return "RECALLED"
	case a.SupersededBy != nil:
		return fmt.Sprintf("superseded by %d", *a.SupersededBy)
	}
	return current
}

// lifeOf says in lines of their own why an alert was recalled, and what of a version has
// been erased, when and why.
func lifeOf(a nodeapi.Received) []verbatim {
	var out []verbatim
	if a.Recall != nil {
		out = append(out, recalled(*a.Recall))
	}
	for _, p := range value(a.Purged) {
		out = append(out, verbatim(fmt.Sprintf("erased %s, %s: %s", moment(p.At), because(p.Cause), plain(strings.Join(p.Portions, " ")))))
	}
	return out
}

// because says why a node has erased what it held.
func because(c feed.Cause) string {
	switch c {
	case feed.Recalled:
		return "for the originator has recalled it"
	case feed.Superseded:
		return "for a later version does not release it any more"
	case feed.Ended:
		return "for its time is over"
	}
	return plain(string(c))
}
