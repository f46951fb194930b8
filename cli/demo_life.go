package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

// lifeReason is why the demo recalls an alert.
const lifeReason = "the source was mistaken"

// secrets are texts of the alert that the demo takes back, by portion. Each stands in two
// places of it, so that no end of a database's page runs through both.
var secrets = map[string]string{"landing": "Marram Spit 7", "contact": "Kestrel 4417"}

// lifeHolders are the members to which the alert goes.
var lifeHolders = []alert.MemberID{"XB", "XC"}

// endLife corrects an alert and takes it back: what was released is erased wherever it is,
// its originator sees that it is, and who had nothing of it learns nothing.
func (d *demo) endLife(ctx context.Context) error {
	before, err := d.places(ctx)
	if err != nil {
		return err
	}
	first, err := d.publishVersion(ctx, "xa-landing", nil)
	if err != nil {
		return err
	}
	for _, m := range lifeHolders {
		if err := d.awaitVersion(ctx, m, first); err != nil {
			return err
		}
	}
	stored := make(storedKeys)
	if err := d.holdSecrets(ctx, alert.ID(first.Id), stored); err != nil {
		return err
	}
	second, err := d.publishVersion(ctx, "xa-landing-2", &first.Id)
	if err != nil {
		return err
	}
	if err := d.correct(ctx, first, second); err != nil {
		return err
	}
	if err := d.holdSecrets(ctx, alert.ID(first.Id), stored); err != nil {
		return err
	}
	if err := d.takeBack(ctx, alert.ID(first.Id), int(second.Version)+1); err != nil {
		return err
	}
	if err := d.eraseSecrets(ctx, stored); err != nil {
		return err
	}
	return d.learnedNothing(ctx, first.Id, before)
}

// publishVersion publishes an alert of XA's, a new one or the next version of one.
func (d *demo) publishVersion(ctx context.Context, file string, supersedes *string) (*nodeapi.Outgoing, error) {
	a := &demoAlert{file: file}
	if err := a.compose(); err != nil {
		return nil, err
	}
	a.draft.Supersedes = supersedes
	sent, err := d.nodes["XA"].Publish(ctx, a.draft)
	if err != nil {
		return nil, named("publish", err)
	}
	return d.accepted(ctx, sent)
}

// accepted waits until the hub has accepted what XA has published.
func (d *demo) accepted(ctx context.Context, sent *nodeapi.Outgoing) (*nodeapi.Outgoing, error) {
	sent, err := awaitReceipt(ctx, d.nodes["XA"], sent, arrivalTimeout)
	if err == nil && sent.State != nodeapi.Accepted {
		err = fault("version %d of %s is %s", sent.Version, sent.Id, sent.State)
	}
	d.later++
	return sent, err
}

// awaitVersion waits until a member's node has a version of XA's.
func (d *demo) awaitVersion(ctx context.Context, m alert.MemberID, o *nodeapi.Outgoing) error {
	err := d.until(ctx, fmt.Sprintf("%s did not get version %d in time", m, o.Version), func() (bool, error) {
		_, err := d.nodes[m].Show(ctx, "XA", alert.ID(o.Id), int(o.Version))
		if problem.KindOf(err) == problem.NotFound {
			return false, nil
		}
		return err == nil, err
	})
	if err == nil {
		d.handed++
	}
	return err
}

// correct waits until the second version is everywhere, and shows XB what it changes.
func (d *demo) correct(ctx context.Context, first, second *nodeapi.Outgoing) error {
	for _, m := range lifeHolders {
		if err := d.awaitVersion(ctx, m, second); err != nil {
			return err
		}
	}
	id := alert.ID(first.Id)
	changes, err := d.nodes["XB"].Diff(ctx, "XA", id, 0, 0)
	if err != nil {
		return named("diff", err)
	}
	if err := checkCorrection(changes); err != nil {
		return err
	}
	old, err := d.nodes["XB"].Show(ctx, "XA", id, 1)
	if err != nil {
		return err
	}
	if err := checkCorrected(old); err != nil {
		return err
	}
	d.say("XA corrects an alert that XB and XC have: the next version does not say any more who told of it, which XB had.\n" +
		"XB's node has erased that, and shows what has changed:\n")
	return printDiff(d.out, changes)
}

// checkCorrection holds the difference that XB sees against what was published.
func checkCorrection(d *nodeapi.Diff) error {
	if d.From != 1 || d.To != 2 || len(d.Portions) != 2 {
		return fault("XB sees %d portions of versions %d and %d", len(d.Portions), d.From, d.To)
	}
	for _, p := range d.Portions {
		switch {
		case p.Portion == "contact" && p.Change == "removed" && p.After == nil && len(p.Fields)+len(p.Objects) == 0:
		case p.Portion == "landing" && p.Change == "changed" && len(p.Fields) == 0 && len(p.Objects) == 1 && p.Objects[0].Change == "changed":
		default:
			return fault("XB sees of portion %s that it is %s", p.Portion, p.Change)
		}
	}
	return nil
}

// checkCorrected checks what XB's node still has of the version that was superseded.
func checkCorrected(a *nodeapi.ReceivedAlert) error {
	if given(a.Summary.SupersededBy) != 2 {
		return fault("XB's node does not say that version 1 is superseded")
	}
	for _, p := range a.Portions {
		if p.Portion == "contact" && p.Objects != nil {
			return fault("XB's node still has what version 2 does not release to it")
		}
	}
	for _, p := range value(a.Summary.Purged) {
		if p.Cause == feed.Superseded && slices.Equal(p.Portions, []string{"contact"}) {
			return nil
		}
	}
	return fault("XB's node does not say that it has erased anything")
}

// takeBack recalls the alert and waits until everybody who had it has said that it is
// erased.
func (d *demo) takeBack(ctx context.Context, id alert.ID, version int) error {
	recall, err := d.nodes["XA"].Recall(ctx, id, alert.Recall{Mode: alert.Purge, Reason: lifeReason})
	if err != nil {
		return named("recall", err)
	}
	if recall, err = d.accepted(ctx, recall); err != nil {
		return err
	}
	for _, m := range lifeHolders {
		if err := d.awaitVersion(ctx, m, recall); err != nil {
			return err
		}
	}
	list, err := d.awaitErased(ctx, id, version)
	if err != nil {
		return err
	}
	for _, m := range lifeHolders {
		for v := 1; v <= version; v++ {
			a, err := d.nodes[m].Show(ctx, "XA", id, v)
			if err != nil {
				return named(fmt.Sprintf("version %d at %s", v, m), err)
			}
			if err := checkTakenBack(m, a); err != nil {
				return err
			}
		}
	}
	d.say("XA recalls the alert: everybody who had anything of it is to erase it. Who has, by receipts whose signatures XA's\nnode has verified:\n")
	return printHolders(d.out, list)
}

// holdersEvery is how often the demo asks who holds an alert: each question leaves an entry
// in the audit log.
const holdersEvery = 100 * time.Millisecond

// awaitErased waits until XA's node has the receipts of all who had the alert.
func (d *demo) awaitErased(ctx context.Context, id alert.ID, recall int) (list *nodeapi.HolderList, err error) {
	var asked time.Time
	var wrong error
	waitErr := d.until(ctx, "not all who had the alert have erased it", func() (bool, error) {
		if time.Since(asked) < holdersEvery {
			return false, nil
		}
		asked = time.Now()
		if list, err = d.nodes["XA"].Holders(ctx, id); err != nil {
			return false, named("holders", err)
		}
		wrong = checkErased(list, recall)
		return wrong == nil, nil
	})
	if waitErr != nil && wrong != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: %w", waitErr, wrong)
	}
	return list, waitErr
}

// checkErased holds the list of holders against what was handed over: XB and XC had both
// versions and have acknowledged the recall, every portion that they had is erased, and
// nobody else is named.
func checkErased(list *nodeapi.HolderList, recall int) error {
	had := map[string]map[int32][]string{"XB": {1: {"contact", "landing"}, 2: {"landing"}}, "XC": {1: {"landing"}, 2: {"landing"}}}
	if list.Recall == nil || int(list.Version) != recall {
		return fault("XA's node does not know of the recall")
	}
	for _, h := range list.Members {
		want, ok := had[h.Member]
		if !ok {
			return fault("%s is listed, who had nothing, or twice", h.Member)
		}
		delete(had, h.Member)
		gone := make(map[int32][]string)
		for _, p := range h.Purged {
			gone[p.Version] = append(gone[p.Version], p.Portions...)
			slices.Sort(gone[p.Version])
		}
		if !maps.EqualFunc(gone, want, slices.Equal) {
			return fault("%s has erased %v, %v is right", h.Member, gone, want)
		}
		if !h.Told || !h.Acknowledged || h.Late || len(h.Held)+len(h.Faults) > 0 {
			return fault("%s is not in order", h.Member)
		}
	}
	if len(had) > 0 {
		return fault("%v are not listed", slices.Sorted(maps.Keys(had)))
	}
	return nil
}

// checkTakenBack checks that a node shows of a version that it is recalled, and nothing
// else.
func checkTakenBack(m alert.MemberID, a *nodeapi.ReceivedAlert) error {
	if r := a.Summary.Recall; r == nil || *r != (alert.Recall{Mode: alert.Purge, Reason: lifeReason}) {
		return fault("%s does not know that version %d is recalled", m, a.Summary.Version)
	}
	for _, p := range a.Portions {
		if p.Objects != nil || p.Label != nil {
			return fault("%s still shows %s of version %d", m, p.Portion, a.Summary.Version)
		}
	}
	return nil
}

// storedKeys are keys that have opened what was held of the alert, by the folder of the
// data.
type storedKeys map[string][][]byte

// holdSecrets looks for the keys that open what the hub and the nodes of XB and XC hold of
// the alert now, and adds them: there were nothing to be seen erased otherwise.
func (d *demo) holdSecrets(ctx context.Context, id alert.ID, stored storedKeys) error {
	if d.dsn == "" {
		if err := stored.add(ctx, hubKeys, d.hubCfg.DataDir, id); err != nil {
			return named("the database of the hub", err)
		}
	}
	for _, m := range lifeHolders {
		if err := stored.add(ctx, nodeKeys, d.nodeCfg[m].DataDir, id); err != nil {
			return named("the database of "+string(m), err)
		}
	}
	return nil
}

// add adds the keys that a database has for an alert, each of which is found in its files.
func (s storedKeys) add(ctx context.Context, of keyQuery, dir string, id alert.ID) error {
	keys, err := of.read(ctx, dir, id)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return fault("it holds nothing of the alert: nothing could be seen to be erased")
	}
	for _, key := range keys {
		if file, err := holdsAny(dir, [][]byte{key}); err != nil || file == "" {
			return errors.Join(err, fault("a key of the alert is not found in its files: it could not be seen to be erased"))
		}
	}
	s[dir] = append(s[dir], keys...)
	return nil
}

// eraseSecrets looks into the files of the hub and of all nodes but the author's, until
// nothing of the alert is in them, nor anything that opens it.
func (d *demo) eraseSecrets(ctx context.Context, stored storedKeys) error {
	whose := ""
	var dirs []string
	if d.dsn == "" {
		whose, dirs = "the hub and ", append(dirs, d.hubCfg.DataDir)
	}
	for _, cfg := range d.nodeCfg {
		dirs = append(dirs, cfg.DataDir)
	}
	all := slices.Sorted(maps.Values(secrets))
	for _, dir := range dirs {
		err := d.until(ctx, fmt.Sprintf("what was recalled is still in %s", dir), func() (bool, error) {
			file, err := holdsTrace(dir, all...)
			if err == nil && file == "" {
				file, err = holdsAny(dir, stored[dir])
			}
			return err == nil && file == "", err
		})
		if err != nil {
			return err
		}
	}
	d.say("No file of %sthe nodes has a word of it left, nor a key that opens one: their bytes were searched, in the clear and as\n"+
		"they are sent, and for the keys with which it was kept. XA's node, its author's, keeps it under a key of its own until it\n"+
		"expires. What was signed stays, without content: the log below still verifies.", whose)
	return nil
}

// places returns how far the feeds have come of those who must learn nothing.
func (d *demo) places(ctx context.Context) (map[alert.MemberID]int64, error) {
	out := make(map[alert.MemberID]int64)
	for _, m := range []alert.MemberID{"XD", "XE"} {
		s, err := d.nodes[m].Status(ctx)
		if err != nil {
			return nil, err
		}
		out[m] = s.Cursor
	}
	return out, nil
}

// learnedNothing checks that who had nothing of the alert has learned nothing of its life,
// by the time that all others have been through it. What would have been on its way still
// is found when the releases in the log are counted.
func (d *demo) learnedNothing(ctx context.Context, id string, before map[alert.MemberID]int64) error {
	after, err := d.places(ctx)
	if err != nil {
		return err
	}
	for m := range before {
		held, err := d.holds(ctx, m, id)
		if err != nil {
			return err
		}
		if held || after[m] != before[m] {
			return fault("%s has learned of an alert that is not for it", m)
		}
	}
	d.say("XD and XE, who had nothing of it, have learned nothing: their feeds stand where they stood.")
	return nil
}
