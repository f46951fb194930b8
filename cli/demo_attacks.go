package cli

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/node/hubclient"
	nodeserver "github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/trust"
)

// hubClient connects to a node's hub with the node's own certificate.
func hubClient(cfg nodeserver.Config) (*hubclient.Client, error) {
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return nil, err
	}
	pool, err := pki.LoadPool(cfg.TLS.CA)
	if err != nil {
		return nil, err
	}
	return hubclient.New(hubclient.Config{URLs: cfg.Hub.URLs, Hub: cfg.Hub.ID, Certificate: cert, Pool: pool})
}

// attack is one attempt and the problem that must answer it.
type attack struct {
	what string
	over alert.MemberID // whose connection the attacker has
	sent func(context.Context) (token string, err error)
	want problem.Kind
}

// attack tries to get in what must stay out.
func (d *demo) attack(ctx context.Context) error {
	genuine := d.alerts[0].received["XB"].Alert // really signed by XA
	attacks := []attack{
		{"mallory forges an alert of XA's with a key of her own, over XA's stolen connection", "XA",
			func(ctx context.Context) (string, error) {
				mallory, err := keys.Generate("XA", keys.EdDSA)
				if err != nil {
					return "", err
				}
				return d.forge(ctx, mallory, freshID())
			}, problem.BadSignature},
		{"XC's node publishes in XA's name, what XA really signed", "XC",
			func(context.Context) (string, error) { return genuine, nil }, problem.WrongMember},
		{"XA's node sends other bytes under the id and version of an alert that is out", "XA",
			func(ctx context.Context) (string, error) {
				signer, err := openSigner(d.nodeCfg["XA"])
				if err != nil {
					return "", err
				}
				return d.forge(ctx, signer, alert.ID(d.alerts[0].sent.Id))
			}, problem.Conflict},
	}
	d.say("Three attacks, each of which must be refused:\n")
	var rows [][]string
	for _, a := range attacks {
		if err := d.over(ctx, a); err != nil {
			return err
		}
		rows = append(rows, []string{a.what, a.want.Type()})
		d.refused++
	}
	return table(d.out, []string{"ATTACK", "ANSWER"}, rows)
}

// over tries an attack over the connection that its attacker has.
func (d *demo) over(ctx context.Context, a attack) error {
	client, err := hubClient(d.nodeCfg[a.over])
	if err != nil {
		return err
	}
	defer client.Close()
	return a.try(ctx, func(ctx context.Context, token string) error {
		_, err := client.Publish(ctx, token)
		return err
	})
}

// try checks that publishing what the attacker sends is refused as it must be.
func (a attack) try(ctx context.Context, publish func(ctx context.Context, token string) error) error {
	token, err := a.sent(ctx)
	if err != nil {
		return err
	}
	err = publish(ctx, token)
	if err == nil {
		return fault("it was let in: %s", a.what)
	}
	if kind := problem.KindOf(err); kind != a.want {
		return fault("%s: answered with %s (%w), %s is right", a.what, kind, err, a.want)
	}
	return nil
}

// forge signs an alert of XA's first portion with any key.
func (d *demo) forge(ctx context.Context, signer keys.Signer, id alert.ID) (string, error) {
	portions, err := d.alerts[0].draft.Plan.Split(d.alerts[0].draft.Objects)
	if err != nil {
		return "", err
	}
	jti := make([]byte, 16)
	rand.Read(jti)
	now := time.Now()
	return trust.IssueAlert(ctx, signer, alert.Alert{Payload: alert.Payload{Issuer: "XA", Subject: id, Version: 1,
		JTI: base64.RawURLEncoding.EncodeToString(jti), IssuedAt: now.Unix(), Expires: now.Add(time.Hour).Unix()}, Portions: portions[:1]})
}

func freshID() alert.ID { return alert.ID(uuid.Must(uuid.NewV7()).String()) }

func openSigner(cfg nodeserver.Config) (keys.Signer, error) {
	secret, err := keys.SecretFromFile(cfg.Keys.SecretFile)
	if err != nil {
		return nil, err
	}
	store, err := keys.OpenStore(cfg.Keys.Dir, secret)
	if err != nil {
		return nil, err
	}
	return store.Load(cfg.Keys.SigningKID)
}

// digestsOf reads the digests in the signed part of an alert.
func digestsOf(jws string) ([]string, error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return nil, fault("the signed part is no JWS")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	payload, err := alert.ParsePayload(raw)
	var out []string
	for _, p := range payload.Portions {
		out = append(out, p.Digest)
	}
	return out, err
}

// audit fetches a checkpoint as a member would, and verifies the log against it.
func (d *demo) audit(ctx context.Context) error {
	client, err := hubClient(d.nodeCfg["XB"])
	if err != nil {
		return err
	}
	defer client.Close()
	note, err := client.Checkpoint(ctx)
	if err != nil {
		return err
	}
	report, err := verifyLog(ctx, d.hubCfg, note)
	if err != nil {
		return err
	}
	if err := d.checkCounts(report); err != nil {
		return err
	}
	last := time.Duration(0)
	for _, a := range d.alerts {
		last = max(last, a.arrival)
	}
	d.say("The audit log holds: its root, recomputed from %d entries, is the one in the checkpoint that the hub signed\n(%s).\n%s"+
		"%d releases, %d refusals; from publish to verified in the last inbox it took %s at most.",
		report.Size, report.Root, report, report.Entries[audit.Release], report.Entries[audit.Refusal], last.Round(time.Millisecond))
	return nil
}

// checkCounts holds the log's entries against what was published, received and
// refused.
func (d *demo) checkCounts(report hub.LogReport) error {
	releases := d.handed
	for _, a := range d.alerts {
		releases += len(a.received)
	}
	if got := report.Entries[audit.Release]; got != int64(releases) {
		return fault("the log has %d releases, the inboxes hold %d", got, releases)
	}
	if got := report.Entries[audit.Refusal]; got != int64(d.refused) {
		return fault("the log has %d refusals, %d attacks were refused", got, d.refused)
	}
	if got := report.Entries[audit.Admission]; got != int64(len(d.alerts)+d.later) {
		return fault("the log has %d admissions of %d alerts", got, len(d.alerts)+d.later)
	}
	return nil
}
