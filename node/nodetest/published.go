package nodetest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/trust"
)

// published gives a member back what it has published, each at an index of the log that
// is its place.
func (h *Hub) published(m alert.MemberID, r *http.Request) (any, error) {
	after := number(r, "after")
	out := hubapi.Published{}
	out.Alerts = make([]struct {
		Alert   string `json:"alert"`
		Receipt string `json:"receipt"`
	}, 0)
	for i, token := range h.Published {
		a, err := trust.ReadAlert(token)
		h.F.must(err)
		if a.Issuer != m || int64(i+2) <= after {
			continue
		}
		sum := sha256.Sum256([]byte(token))
		if h.Erase != nil {
			token = h.Erase(token)
		}
		receipt := feed.Receipt{Issuer: HubID, Originator: m, Alert: a.Subject, Version: a.Version,
			Digest: base64.RawURLEncoding.EncodeToString(sum[:]), AcceptedAt: h.F.Now().Unix(), LogIndex: int64(i + 2)}
		out.Alerts = append(out.Alerts, struct {
			Alert   string `json:"alert"`
			Receipt string `json:"receipt"`
		}{token, h.sign(h.F.HubKey, feed.ReceiptType, receipt)})
	}
	return out, nil
}
