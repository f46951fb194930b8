package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// parseStrings reads a JSON object all of whose values are strings, and
// refuses duplicate names, invalid UTF-8 and anything after the object.
func parseStrings(data []byte) (map[string]string, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	m := map[string]string{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errors.New("not JSON")
		}
		key, _ := name.(string) // the decoder lets nothing else stand here
		value, err := dec.Token()
		if err != nil {
			return nil, errors.New("not JSON")
		}
		s, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("member %.32q is not a string", key)
		}
		if _, dup := m[key]; dup {
			return nil, fmt.Errorf("member %.32q occurs twice", key)
		}
		m[key] = s
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return nil, errors.New("not a JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return m, nil
}
