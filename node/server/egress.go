package server

import (
	"context"
	"os"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/policies"
)

// egress is the policy engine as a node.Egress.
type egress struct{ rules *policies.Egress }

var _ node.Egress = egress{}

func loadEgress(c Egress) (egress, error) {
	module, err := readModule(c.Module)
	if err != nil {
		return egress{}, err
	}
	rules, err := policies.LoadEgress(module, c.Data)
	return egress{rules}, err
}

// readModule reads a member's own rules, nil where no file is named.
func readModule(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	module, err := os.ReadFile(file)
	if err == nil && module == nil {
		module = []byte{} // an empty file is a broken module, not the embedded one
	}
	return module, err
}

// Check implements node.Egress.
func (e egress) Check(ctx context.Context, originator alert.MemberID, labels []alert.Label) ([]node.Refusal, error) {
	refusals, err := e.rules.Check(ctx, originator, labels)
	var out []node.Refusal
	for _, r := range refusals {
		out = append(out, node.Refusal{Code: r.Code, Message: r.Message, Portion: r.Portion})
	}
	return out, err
}
