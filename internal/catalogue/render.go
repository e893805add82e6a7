package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"daybook/eventstore"
)

const head = `<!-- Written by make generate from the registry of events and the published examples. Do not edit. -->

# Events

What stands in the log, exactly as it stands there. An event is one JSON object with the fields of the envelope; what
happened is in its ` + "`data`" + `. Events never change: a new shape gets a new schemaVersion, and the old ones are read for ever.
The examples are those of ` + "`eventstore/testdata/events`" + `, which the tests hold the code to.

Amounts are decimal strings with as many digits after the point as the currency has. Times are RFC 3339, in UTC, with
milliseconds. A record's key is the id of its aggregate, and its partition follows from the key as in Kafka's Java client.
`

// What the envelope's fields and the headers mean, in the order of the tables.
var (
	envelope = []meaning{
		{"eventId", "unique for ever; the same for a repeat of a derived event"},
		{"eventType", "one of the types below"},
		{"aggregateId", "the account or the transaction"},
		{"aggregateType", ""},
		{"aggregateVersion", "the version after this event: 1, 2, 3 … without gap or repeat"},
		{"timestamp", "never earlier than the one before it of the same account"},
		{"correlationId", "the request that began it all"},
		{"causationId", "the event or command that caused this one"},
		{"metadata", "who did it"},
		{"schemaVersion", "the shape of data; 1 when absent"},
		{"data", "what happened"},
	}
	headers = []meaning{
		{"eventType", "as in the envelope, like the next four"},
		{"aggregateVersion", ""},
		{"correlationId", ""},
		{"timestamp", ""},
		{"schemaVersion", ""},
		{"traceparent", "the W3C trace context of the command"},
		{"idempotencyKey", "the key of the client's command, on the last of the events it caused on the account it belongs to"},
		{"fingerprint", "a hash of the whole input of that command"},
		{"progress", "on the first event of a batch: the next offset of the commands, the offset up to which the consequences of events are recorded, and the number of partitions"},
	}
)

type meaning struct{ name, text string }

// example is a published event.
type example struct {
	file   string
	fields []field
	data   []field
}

// render makes the catalogue. It fails when an event, a field or a header has nothing to say about it.
func render(published fs.FS) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(head)
	if err := renderEnvelope(&out, published); err != nil {
		return nil, err
	}
	topic := ""
	for _, s := range eventstore.Schemas() {
		if s.Topic != topic {
			topic = s.Topic
			fmt.Fprintf(&out, "\n## `%s`\n", topic)
		}
		fmt.Fprintf(&out, "\n### %s\n\n%s\n", s.EventType, s.Summary)
		for version := s.Version; version > 0; version-- {
			examples, err := load(published, fmt.Sprintf("%s.v%d", s.EventType, version))
			if err != nil {
				return nil, err
			}
			if version < s.Version {
				fmt.Fprintf(&out, "\nschemaVersion %d, read but no longer written:\n", version)
			} else if s.Version > 1 {
				fmt.Fprintf(&out, "\nschemaVersion %d:\n", version)
			}
			renderData(&out, examples)
		}
	}
	return out.Bytes(), nil
}

// renderEnvelope shows an event that has everything an event can have.
func renderEnvelope(out *bytes.Buffer, published fs.FS) error {
	const file = "BalanceChanged.v2.json"
	value, err := fs.ReadFile(published, file)
	if err != nil {
		return err
	}
	event, err := eventstore.Decode(&eventstore.Message{Value: value})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	event.Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	event.IdempotencyKey = "rent-2026-12"
	event.Progress = &eventstore.Progress{Commands: 17, Coordinated: 41, Partitions: 3}
	message, err := eventstore.Encode(&event)
	if err != nil {
		return err
	}
	fields, err := fieldsOf(message.Value)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	out.WriteString("\n## Envelope\n")
	if err := renderMeanings(out, envelope, fields); err != nil {
		return err
	}
	all := make([]field, len(message.Headers))
	for i, h := range message.Headers {
		all[i] = field{h.Key, string(h.Value)}
	}
	out.WriteString("\n## Headers\n")
	return renderMeanings(out, headers, all)
}

func renderMeanings(out *bytes.Buffer, meanings []meaning, fields []field) error {
	out.WriteString("\n| name | example | meaning |\n|---|---|---|\n")
	if len(fields) != len(meanings) {
		return fmt.Errorf("%d fields are explained, an event has %d", len(meanings), len(fields))
	}
	for i, f := range fields {
		if f.name != meanings[i].name {
			return fmt.Errorf("field %s is not explained", f.name)
		}
		value := code(f.value)
		if f.name == "data" {
			value = ""
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", f.name, value, meanings[i].text)
	}
	return nil
}

// renderData lists the fields of all examples together, in the order in which they are written.
func renderData(out *bytes.Buffer, examples []example) {
	out.WriteString("\n| field | examples | |\n|---|---|---|\n")
	var names []string
	for _, e := range examples {
		at := 0 // Where a name that was not seen before goes.
		for _, f := range e.data {
			if i := slices.Index(names, f.name); i >= 0 {
				at = i + 1
				continue
			}
			names = slices.Insert(names, at, f.name)
			at++
		}
	}
	for _, name := range names {
		var values []string
		count := 0
		for _, e := range examples {
			if i := slices.IndexFunc(e.data, func(f field) bool { return f.name == name }); i >= 0 {
				count++
				if v := code(e.data[i].value); !slices.Contains(values, v) {
					values = append(values, v)
				}
			}
		}
		note := ""
		if count < len(examples) {
			note = "not always"
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", name, strings.Join(values, ", "), note)
	}
	files := make([]string, len(examples))
	for i, e := range examples {
		files[i] = "[" + e.file + "](../eventstore/testdata/events/" + e.file + ")"
	}
	fmt.Fprintf(out, "\nPublished: %s\n", strings.Join(files, ", "))
}

// load reads the examples of one type and schemaVersion: NAME.json first, then NAME.CASE.json.
func load(published fs.FS, name string) ([]example, error) {
	files, err := fs.Glob(published, name+".json")
	if err != nil {
		return nil, err
	}
	cases, err := fs.Glob(published, name+".*.json")
	if err != nil {
		return nil, err
	}
	var all []example
	for _, file := range append(files, cases...) {
		value, err := fs.ReadFile(published, file)
		if err != nil {
			return nil, err
		}
		e := example{file: file}
		if e.fields, err = fieldsOf(value); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if e.data, err = fieldsOf(json.RawMessage(e.fields[len(e.fields)-1].value)); err != nil {
			return nil, fmt.Errorf("%s: data: %w", file, err)
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no published example of %s", name)
	}
	// Fuller examples first, so that fields which not all have come where they are written.
	slices.SortStableFunc(all, func(a, b example) int { return cmp.Compare(len(b.data), len(a.data)) })
	return all, nil
}
