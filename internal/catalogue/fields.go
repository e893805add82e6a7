package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// field is a member of a JSON object; the value is JSON.
type field struct{ name, value string }

// fieldsOf returns the members of a JSON object in the order in which they are written.
func fieldsOf(object []byte) ([]field, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("not an object: %v", err)
	}
	var all []field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		all = append(all, field{name.(string), string(value)})
	}
	return all, nil
}

// code renders a value for a cell of a table.
func code(value string) string {
	return "`" + strings.NewReplacer("|", `\|`, "`", "'").Replace(value) + "`"
}
