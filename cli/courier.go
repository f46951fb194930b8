package cli

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/hubclient"
	"github.com/entente-hub/entente/parcel"
)

// courierPatience is how often a hub that is not ready is asked again.
const courierPatience = 5

// courierFlags say with what a parcel is played, and where to.
type courierFlags struct {
	hubs          []string
	cert, key, ca string
	out           string
	limit         int
}

func courierCommand() *cobra.Command {
	var f courierFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "courier FILE --hub https://HOST:PORT --cert FILE --key FILE --ca FILE --out FILE",
		Short: "Play a parcel to the hub and write down its answers",
		Long: `Runs on a machine with a network, for a node that has none. Hands what "entente export" has
packed to the hub, asks it what the node would ask, and writes its answers, refusals among them,
into a file for "entente import".

It needs a TLS certificate of the same member and its key, and the authorities of the
federation's certificates; neither the member's signing key nor its root key, nor any database.
It verifies that the parcel was packed by the member, and of the answers nothing: that is done
by the node.

A trip that fails or is interrupted has lost nothing and writes no file: run it again. The hub
gives the same answers to what it has taken already. With --limit a trip takes so many pages of
the feed, of up to 100 deliveries each; the answer says whether the hub has more.`,
		Example: "  entente courier XB.parcel --hub https://hub.example:8443 --cert tls.crt --key tls.key --ca ca.crt --out XB.answer",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return usage("one file is needed, which entente export has made")
			case len(f.hubs) == 0 || f.cert == "" || f.key == "" || f.ca == "" || f.out == "":
				return usage("--hub, --cert, --key, --ca and --out are needed")
			case f.limit < 0 || f.limit > node.MaxTrip:
				return usage("--limit lies between 0 and %d", node.MaxTrip)
			}
			p := newProgress(cmd.ErrOrStderr(), progressEvery)
			done, err := f.carry(cmd.Context(), args[0], p)
			p.close()
			if err != nil {
				return gone(cmd.Context(), err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), done)
			}
			return done.print(cmd.OutOrStdout())
		},
	}
	c.Flags().StringArrayVar(&f.hubs, "hub", nil, "address of a hub, https://HOST:PORT; repeatable, tried in turn")
	c.Flags().StringVar(&f.cert, "cert", "", "file with a TLS certificate of the member's, PEM")
	c.Flags().StringVar(&f.key, "key", "", "file with its key, PEM; readable by its owner alone")
	c.Flags().StringVar(&f.ca, "ca", "", "file with the authorities of the federation's certificates, PEM")
	c.Flags().StringVar(&f.out, "out", "", "file to make")
	c.Flags().IntVar(&f.limit, "limit", node.MaxTrip, "how many pages of the feed at most")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// carriedBack is what courier answers.
type carriedBack struct {
	File       string `json:"file"`
	Size       int64  `json:"size"` // in bytes
	Member     string `json:"member"`
	Hub        string `json:"hub"`
	Re         string `json:"re"` // id of the parcel that it answers
	Accepted   int64  `json:"accepted"`
	Refused    int64  `json:"refused"`
	Skipped    int64  `json:"skipped"`
	Acks       int64  `json:"acks"`
	Purges     int64  `json:"purges"`
	Submitted  int64  `json:"submissions"`
	Statements int64  `json:"statements"`
	Items      int64  `json:"items"`
	More       bool   `json:"more"`
	Waits      string `json:"waits,omitempty"`
}

func (c carriedBack) print(w io.Writer) error {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	printf(w, "Answers of %s to parcel %s of %s: %s, %s\n", plain(c.Hub), plain(c.Re), plain(c.Member), c.File, megabytes(c.Size))
	err := table(w, nil, [][]string{
		{indent + "alerts", fmt.Sprintf("%d accepted, %d refused, %d not handed over", c.Accepted, c.Refused, c.Skipped)},
		{indent + "acknowledgements", n(c.Acks)}, {indent + "purge receipts", n(c.Purges)},
		{indent + "statements", n(c.Submitted) + " handed over, " + n(c.Statements) + " fetched"},
		{indent + "items of the feed", n(c.Items)},
	})
	if err == nil && c.Waits != "" {
		err = printf(w, "Not taken now, and waiting for another trip: %s\n", plain(c.Waits))
	}
	if err == nil && c.More {
		err = printf(w, "The hub has more: import this, and export again.\n")
	}
	return err
}

// carry plays the parcel in a file and writes the answers into another.
func (f courierFlags) carry(ctx context.Context, file string, p *progress) (done carriedBack, err error) {
	cert, pool, who, err := f.identity()
	if err != nil {
		return done, err
	}
	in, from, err := openParcel(file, parcel.Trust{Pool: pool, Member: who, Now: time.Now()})
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	m := in.Manifest()
	if m.Bound != parcel.ToHub {
		return done, usage("%s is no parcel to a hub, but the answer to one: entente import takes it", file)
	}
	hub, err := hubclient.New(hubclient.Config{URLs: f.hubs, Hub: m.Hub, Certificate: cert, Pool: pool})
	if err != nil {
		return done, usage("%v", err)
	}
	defer hub.Close()
	done = carriedBack{File: f.out, Member: string(m.Member), Hub: string(m.Hub), Re: m.ID}
	err = writeWhole(f.out, func(out *os.File) error {
		to := bufio.NewWriterSize(out, 1<<20)
		w, err := parcel.NewWriter(to, parcel.Manifest{Bound: parcel.ToNode, Member: m.Member, Hub: m.Hub, Re: m.ID, Standing: m.Standing}, time.Now())
		if err != nil {
			return err
		}
		trip, err := node.Courier{Hub: hub, Pages: f.limit, Patience: courierPatience, Tell: p.trip}.Carry(ctx, in, w)
		if err != nil {
			return err
		}
		if err := w.Close(cert, trip.More); err != nil {
			return err
		}
		if err := to.Flush(); err != nil {
			return err
		}
		done.enter(trip)
		done.Size, err = sizeOf(out)
		return err
	})
	return done, err
}

func (c *carriedBack) enter(t node.Trip) {
	c.Accepted, c.Refused, c.Skipped = t.Accepted, t.Refused, t.Skipped
	c.Acks, c.Purges, c.Submitted = t.Acks, t.Purges, t.Submissions
	c.Statements, c.Items, c.More, c.Waits = t.Statements, t.Items, t.More, t.Waits
}

// identity reads what the courier shows to the hub and signs with, and whose it is.
func (f courierFlags) identity() (tls.Certificate, *x509.CertPool, alert.MemberID, error) {
	cert, err := pki.LoadPair(f.cert, f.key)
	if err != nil {
		return cert, nil, "", usage("--cert and --key: %v", err)
	}
	pool, err := pki.LoadPool(f.ca)
	if err != nil {
		return cert, nil, "", usage("--ca: %v", err)
	}
	id, err := pki.CertificateIdentity(cert.Leaf)
	if err != nil || id.Kind != pki.Member {
		return cert, nil, "", usage("--cert: it is no certificate of a member")
	}
	return cert, pool, alert.MemberID(id.ID), nil
}

// trip says how far a courier is.
func (p *progress) trip(t node.Trip) {
	p.at(fmt.Sprintf("%d alerts, %d acknowledgements and %d purge receipts handed over, %d items of the feed fetched",
		t.Accepted+t.Refused, t.Acks, t.Purges, t.Items), 0, 0)
}
