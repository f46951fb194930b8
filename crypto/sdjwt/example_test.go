package sdjwt_test

import (
	"context"
	"fmt"
	"log"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/sdjwt"
)

// An issuer conceals two chapters and their text, a relay drops what one
// reader may not have, and that reader verifies the rest.
func Example() {
	const typ = "example-book+sd-jwt"
	ctx := context.Background()
	signer, err := keys.Generate("XA", keys.EdDSA)
	if err != nil {
		log.Fatal(err)
	}
	chapter := func(id int, text string) any {
		return map[string]any{"id": id, "text": sdjwt.Conceal{Value: text}}
	}
	token, err := sdjwt.Issue(ctx, signer, typ, map[string]any{
		"iss": "XA",
		"chapters": sdjwt.Padded{
			Elements: []any{chapter(1, "Call me Ishmael."), chapter(2, "Not for everybody.")},
			Multiple: 4,
		},
	}, sdjwt.Options{})
	if err != nil {
		log.Fatal(err)
	}

	reduced, err := sdjwt.Reduce(token, func(d sdjwt.Disclosure) bool {
		return string(d.Value) != `"Not for everybody."`
	})
	if err != nil {
		log.Fatal(err)
	}

	verified, err := sdjwt.Verify(reduced, typ, func(kid string) (keys.PublicKey, error) {
		if kid != signer.Public().KeyID() {
			return keys.PublicKey{}, keys.ErrKeyUnknown
		}
		return signer.Public(), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("places:", len(verified.Elements("chapters")))
	for i, chapter := range verified.Children(-1) {
		fmt.Println("a chapter, element of an array:", chapter.Element)
		for _, child := range verified.Children(i) {
			fmt.Println(child.Name, string(child.Value))
		}
	}
	// Output:
	// places: 4
	// a chapter, element of an array: true
	// text "Call me Ishmael."
	// a chapter, element of an array: true
}
