package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

// arrivalTimeout bounds how long the demo waits for an alert to arrive.
const arrivalTimeout = time.Minute

// errDemo says that something did not come out as it must.
var errDemo = errors.New("the demo found a fault")

func fault(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errDemo}, args...)...)
}

// publishAll previews and publishes every alert and waits until each inbox has it.
func (d *demo) publishAll(ctx context.Context) error {
	for _, a := range d.alerts {
		if err := a.compose(); err != nil {
			return err
		}
		node := d.nodes[a.from]
		var err error
		if a.decided, err = node.Preview(ctx, a.draft); err != nil {
			return named("preview", err)
		}
		if err := a.compare(d.members(), a.decided); err != nil {
			return err
		}
		began := time.Now()
		if a.sent, err = node.Publish(ctx, a.draft); err != nil {
			return named("publish", err)
		}
		if err := d.await(ctx, a); err != nil {
			return err
		}
		a.arrival = time.Since(began)
		if a.sent, err = awaitReceipt(ctx, node, a.sent, arrivalTimeout); err != nil {
			return err
		}
		if a.sent.State != nodeapi.Accepted {
			return fault("%s is %s", a.title, a.sent.State)
		}
		d.say("%s\n  alert %s, verified in the last inbox %s after it was published. Who gets what, and the agreement or the reason:\n",
			a.title, a.sent.Id, a.arrival.Round(time.Millisecond))
		if err := printAudience(d.out, a.decided); err != nil {
			return err
		}
	}
	return nil
}

// compose reads the alert's files as a user's would be read.
func (a *demoAlert) compose() error {
	plan, err := parsePlan(a.labels())
	if err != nil {
		return err
	}
	objects, err := parseObjects(demoFile(a.file + ".bundle.json"))
	a.draft = nodeapi.Draft{Objects: objects, Plan: plan}
	return err
}

func (d *demo) members() []alert.MemberID {
	var out []alert.MemberID
	for _, m := range d.spec.Members {
		out = append(out, m.ID)
	}
	return out
}

func (a *demoAlert) want(portion string, m alert.MemberID) feed.Kind {
	kind, _, _ := strings.Cut(a.expect[portion][m], " ")
	return feed.Kind(kind)
}

// compare holds the hub's answer against what was expected.
func (a *demoAlert) compare(members []alert.MemberID, answer *nodeapi.AudienceAnswer) error {
	if len(answer.Portions) != len(a.expect) {
		return fault("%s: %d portions decided, %d expected", a.title, len(answer.Portions), len(a.expect))
	}
	seen := make(map[[2]string]bool) // portion and member
	for _, p := range answer.Portions {
		if len(p.Members) != len(members)-1 {
			return fault("%s: %d members decided", p.Portion, len(p.Members))
		}
		for _, m := range p.Members {
			if pair := [2]string{p.Portion, m.Member}; seen[pair] {
				return fault("%s for %s is decided twice", p.Portion, m.Member)
			} else {
				seen[pair] = true
			}
			got := strings.Join(append([]string{string(m.Release)}, why(m)...), " ")
			if want := a.expect[p.Portion][alert.MemberID(m.Member)]; got != want {
				return fault("%s for %s: policy says %q, %q is right", p.Portion, m.Member, got, want)
			}
		}
	}
	return nil
}

// await asks the nodes of all recipients until each has verified and stored the
// alert.
func (d *demo) await(ctx context.Context, a *demoAlert) error {
	ctx, cancel := context.WithTimeout(ctx, arrivalTimeout)
	defer cancel()
	a.received = make(map[alert.MemberID]*nodeapi.ReceivedAlert)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for _, m := range d.members() {
		if m == a.from {
			continue
		}
		for a.received[m] == nil {
			got, err := d.nodes[m].Show(ctx, a.from, alert.ID(a.sent.Id), int(a.sent.Version))
			switch {
			case err == nil:
				a.received[m] = got
			case ctx.Err() != nil:
				return fault("%s did not get %s in time", m, a.title)
			case problem.KindOf(err) != problem.NotFound:
				return named("inbox of "+string(m), err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// showInboxes holds what each inbox has against what it may have.
func (d *demo) showInboxes(ctx context.Context) error {
	d.say("What the inboxes hold, each verified up to the originator's root:\n")
	var rows [][]string
	for _, m := range d.members() {
		list, err := d.nodes[m].Inbox(ctx, 0, 500)
		if err != nil {
			return err
		}
		expected := 0
		for _, a := range d.alerts {
			if a.from == m {
				continue
			}
			expected++
			got := a.received[m]
			if err := a.checkHeld(m, got); err != nil {
				return err
			}
			var parts []string
			for _, p := range got.Portions {
				parts = append(parts, p.Portion+":"+string(p.Release))
			}
			rows = append(rows, []string{string(m), "from " + got.Summary.Originator, got.Summary.Banner, strings.Join(parts, " ")})
		}
		if len(list) != expected {
			return fault("the inbox of %s holds %d alerts, %d are right", m, len(list), expected)
		}
	}
	if err := table(d.out, []string{"INBOX", "ALERT", "BANNER", "PORTIONS HELD"}, rows); err != nil {
		return err
	}
	return d.compareViews()
}

// checkHeld checks that a node holds exactly what it may, as it was written.
func (a *demoAlert) checkHeld(m alert.MemberID, got *nodeapi.ReceivedAlert) error {
	written, err := a.draft.Plan.Split(a.draft.Objects)
	if err != nil {
		return err
	}
	held := make(map[string]nodeapi.HeldPortion)
	for _, p := range got.Portions {
		held[p.Portion] = p
	}
	for _, w := range written {
		want, has := a.want(string(w.ID), m), held[string(w.ID)]
		got := feed.Kind(has.Release)
		if got == "" {
			got = feed.None
		}
		if got != want {
			return fault("%s holds %s of %s, %s is right", m, got, w.ID, want)
		}
		if (want == feed.Content) != (has.Objects != nil) {
			return fault("%s: %s has objects where it must not, or none", m, w.ID)
		}
		if want == feed.Content && !sameObjects(w.Content.Objects, *has.Objects) {
			return fault("%s: the objects of %s are not those that were written", m, w.ID)
		}
		if !slices.Equal(slices.Sorted(slices.Values(value(has.Agreements))), a.cited(string(w.ID), m)) {
			return fault("%s: %s does not rest on the agreements that were announced", m, w.ID)
		}
		if want != feed.None {
			delete(held, string(w.ID))
		}
	}
	if len(held) > 0 {
		return fault("%s holds portions that nobody wrote", m)
	}
	return nil
}

// cited returns the digests of the agreements that the preview named, sorted.
func (a *demoAlert) cited(portion string, m alert.MemberID) []string {
	var out []string
	for _, p := range a.decided.Portions {
		for _, d := range p.Members {
			if p.Portion == portion && d.Member == string(m) {
				for _, c := range value(d.Agreements) {
					out = append(out, c.Digest)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// value is what an optional member of the generated types holds.
func value[T any](p *[]T) []T {
	if p == nil {
		return nil
	}
	return *p
}

func sameObjects(a, b []json.RawMessage) bool {
	return slices.EqualFunc(a, b, func(x, y json.RawMessage) bool {
		return reflect.DeepEqual(exact(x), exact(y))
	})
}

// silent checks that what a member can read names neither a portion that it must
// not know of nor any object in one.
func (a *demoAlert) silent(m alert.MemberID, disclosures string) error {
	written, err := a.draft.Plan.Split(a.draft.Objects)
	if err != nil {
		return err
	}
	for _, p := range written {
		if a.want(string(p.ID), m) != feed.None {
			continue
		}
		names := []string{`"id":` + strconv.Quote(string(p.ID))}
		for _, o := range p.Content.Objects {
			ref, err := alert.ParseObjectRef(o)
			if err != nil {
				return err
			}
			names = append(names, ref.ID)
		}
		for _, name := range names {
			if strings.Contains(disclosures, name) {
				return fault("%s reads of %s, which is in %s", m, name, p.ID)
			}
		}
	}
	return nil
}

// readable is all that a holder of encoded disclosures can read in them.
func readable(encoded string) (string, error) {
	var out strings.Builder
	for d := range strings.SplitSeq(strings.TrimSuffix(encoded, "~"), "~") {
		raw, err := base64.RawURLEncoding.DecodeString(d)
		if err != nil {
			return "", err
		}
		out.Write(raw)
	}
	return out.String(), nil
}

// exact decodes JSON without rounding numbers.
func exact(raw []byte) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return err.Error()
	}
	return v
}

// compareViews shows that a withheld portion can not be told from a decoy: every
// recipient holds the same signed part, and what is not disclosed is a digest like
// any other that nothing in the recipient's hands refers to.
func (d *demo) compareViews() error {
	a := d.alerts[0]
	full, least := a.received["XB"], a.received["XD"]
	signedPart, _, _ := strings.Cut(full.Alert, "~")
	for m, r := range a.received {
		part, encoded, _ := strings.Cut(r.Alert, "~")
		disclosures, err := readable(encoded)
		if err != nil {
			return err
		}
		if part != signedPart {
			return fault("the signed part that %s holds is another one", m)
		}
		if len(r.Portions)+r.WithheldOrDecoy != len(full.Portions)+full.WithheldOrDecoy {
			return fault("%s can count differently", m)
		}
		if err := a.silent(m, disclosures); err != nil {
			return err
		}
	}
	digests, err := digestsOf(signedPart)
	if err != nil {
		return err
	}
	if len(digests)%alert.DigestPad != 0 || len(slices.Compact(slices.Sorted(slices.Values(digests)))) != len(digests) {
		return fault("the digests give something away")
	}
	withheld := len(full.Portions) - len(least.Portions)
	d.say("Everybody holds the same signed part of XA's alert: %d digests of %d characters. XB can open %d of them, XD %d;\n"+
		"of the %d that stay closed to XD, %d are withheld portions and %d are decoys, and nothing that XD holds tells which.",
		len(digests), len(digests[0]), len(full.Portions), len(least.Portions), least.WithheldOrDecoy, withheld, least.WithheldOrDecoy-withheld)
	return nil
}
