package firecheck

import (
	"context"
	"fmt"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

// shortLife is long enough to be delivered on a slow machine.
const shortLife = 6 * time.Second

// act is what happens in the small run: each kind of end, feedback, and a change of the
// rules.
func (f *fixture) act(ctx context.Context) error {
	f.note(map[string]any{"kind": "phase", "phase": "fire"})
	about, err := f.publish(ctx, "XA", "", "720h", "river")
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { return f.published(ctx, "XA", "720h", "open", "person", "own") },
		func() error { return f.published(ctx, "XB", "720h", "open", "river") },
		func() error { return f.published(ctx, "XC", "720h", "open") },
		func() error { return f.published(ctx, "XC", fmt.Sprint(shortLife), "open") },
		func() error { return f.published(ctx, "XB", "720h", "person") },
		func() error { return f.checkpoint(ctx, "XD") },
		func() error { return f.supersede(ctx) },
		func() error { return f.shorten(ctx) },
		func() error { return f.recalled(ctx, "XB", alert.Purge) },
		func() error { return f.recalled(ctx, "XC", alert.CeaseUse) },
		func() error { return f.comment(ctx, about) },
		func() error { return f.suspend(ctx) },
		func() error { return f.published(ctx, "XA", "720h", "open", "person") },
		func() error { return f.rest(ctx) },
		func() error { return f.checkpoint(ctx, "XB") },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	if err := f.expire(ctx); err != nil {
		return err
	}
	f.note(map[string]any{"kind": "phase", "phase": "quiet"})
	f.note(map[string]any{"kind": "phase", "phase": "stop"})
	return nil
}

func (f *fixture) published(ctx context.Context, m alert.MemberID, lifetime string, portions ...string) error {
	_, err := f.publish(ctx, m, "", lifetime, portions...)
	return err
}

// supersede has XA publish, and then leave a portion out once the first is delivered.
func (f *fixture) supersede(ctx context.Context) error {
	id, err := f.publish(ctx, "XA", "", "720h", "open", "river")
	if err == nil {
		err = f.rest(ctx)
	}
	if err == nil {
		_, err = f.publish(ctx, "XA", id, "720h", "open")
	}
	return err
}

// shorten has XA publish, and correct that by what ends soon.
func (f *fixture) shorten(ctx context.Context) error {
	id, err := f.publish(ctx, "XA", "", "720h", "open")
	if err == nil {
		err = f.rest(ctx)
	}
	if err == nil {
		_, err = f.publish(ctx, "XA", id, fmt.Sprint(shortLife), "open")
	}
	return err
}

// recalled has a member recall what it has published, once that is delivered.
func (f *fixture) recalled(ctx context.Context, m alert.MemberID, mode alert.RecallMode) error {
	id, err := f.publish(ctx, m, "", "720h", "open")
	if err == nil {
		err = f.rest(ctx)
	}
	if err == nil {
		err = f.recall(ctx, m, id, mode)
	}
	return err
}

// comment has XB comment on an alert of XA's.
func (f *fixture) comment(ctx context.Context, about string) error {
	marker := "fire-feedback-0123456789abcdef0123456789"
	text := "a comment: " + marker
	_, err := f.taken(map[string]any{"kind": "feedback-begin", "member": "XB", "act": "comment", "originator": "XA", "alert": about, "marker": marker},
		"XB", func() (*nodeapi.Outgoing, error) {
			return f.clients["XB"].Feedback(ctx, nodeapi.FeedbackDraft{Act: "comment", Originator: "XA", Alert: about, Text: &text})
		})
	return err
}

// expire waits until what was published for seconds has expired, and has the hub look
// for what it is to erase: it does so at each new version.
func (f *fixture) expire(ctx context.Context) error {
	id, err := f.publish(ctx, "XD", "", "720h", "open")
	if err != nil {
		return err
	}
	if err := until(ctx, "the expiry", func() (string, bool) { return "", time.Since(f.short) > shortLife+2*time.Second }); err != nil {
		return err
	}
	if _, err := f.publish(ctx, "XD", id, "720h", "open"); err != nil {
		return err
	}
	return f.rest(ctx)
}
