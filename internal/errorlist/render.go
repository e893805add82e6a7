package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

const head = `<!-- Written by make generate from schema.graphqls and internal/errorlist. Do not edit. -->

# Errors

Every refusal and failure carries one of these codes. They are stable: clients may decide by them. Messages are for
people, say what to do, and may change.

A code comes in one of two ways:

- **userErrors**: a rule of the business refused the command. They stand in the mutation's payload, with ` + "`field`" + `, the path of
  the input at fault, such as ` + "`[\"input\", \"amount\"]`" + `. Nothing was changed, and the idempotency key was not used up: the
  same key may come with the corrected command.
- **top level**: the request is malformed, too costly, or could not be served. They stand in ` + "`errors`" + `, with the code as
  ` + "`extensions.code`" + ` and, where a single argument is at fault, its path as ` + "`extensions.field`" + `.

In a batch, all that concerns one command comes in the userErrors of its result, with a path such as
` + "`[\"input\", \"commands\", \"3\", \"topUp\", \"amount\"]`" + `. That includes the codes listed as top level,
for which what is said of userErrors above does not hold. When ` + "`UNAVAILABLE`, `OVERLOADED`, `OUTCOME_UNKNOWN` or `INTERNAL`" + ` stops an
atomic batch, the other commands get that code too, because an earlier request may have carried them out. Otherwise they get
` + "`BATCH_ABORTED`" + `, save those that were carried out before, which have their answers.

A transaction's ` + "`failureCode`" + ` is the code for which its other side refused it.

A mutation may be sent again with the same idempotency key at any time: what was carried out is answered again, not
carried out twice.

`

// render makes the document. It fails when a code has nothing to say about it, or something is said about no code.
func render(schema string) ([]byte, error) {
	document, err := parser.ParseSchema(&ast.Source{Name: "schema.graphqls", Input: schema})
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	codes := document.Definitions.ForName("ErrorCode")
	if codes == nil {
		return nil, fmt.Errorf("the schema has no ErrorCode")
	}
	var out bytes.Buffer
	out.WriteString(head)
	out.WriteString("| code | comes as | meaning | does sending it again help? | field |\n|---|---|---|---|---|\n")
	for _, code := range codes.EnumValues {
		a, ok := advices[code.Name]
		if !ok || a.again == "" || code.Description == "" {
			return nil, fmt.Errorf("%s is not explained", code.Name)
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s |\n", code.Name, a.way(), cell(code.Description), a.again, a.path())
	}
	if len(codes.EnumValues) != len(advices) {
		return nil, fmt.Errorf("%d codes are explained, the schema has %d", len(advices), len(codes.EnumValues))
	}
	return out.Bytes(), nil
}

// cell puts a description on one line of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

func (a advice) way() string {
	switch {
	case a.top:
		return "top level"
	case a.watched:
		return "userErrors; top level of a subscription"
	}
	return "userErrors"
}

func (a advice) path() string {
	switch {
	case len(a.fields) == 0:
		return "none"
	case a.fields[0] == anyField:
		return "the one at fault"
	}
	return "`" + strings.Join(a.fields, "`, `") + "`"
}
