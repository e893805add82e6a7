package server

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
	"pgregory.net/rapid"
)

const variableSchema = `
	scalar Amount
	enum Kind { A B }
	input Part { text: String! number: Int flag: Boolean = true kind: Kind = A }
	input Whole { id: ID! amount: Amount! parts: [Part!]! more: [[String]] self: Whole }
	type Query { q(w: Whole, p: [Part], t: String, n: Int!, k: Kind, f: Float): Boolean }`

const variableQuery = `query($w: Whole, $p: [Part], $t: String = "x", $n: Int!, $k: Kind, $f: Float) { q(w: $w, p: $p, t: $t, n: $n, k: $k, f: $f) }`

// drawValue draws a value that mostly is of the type, and sometimes anything.
func drawValue(t *rapid.T, schema *ast.Schema, of *ast.Type, depth int) any {
	if rapid.IntRange(0, 149).Draw(t, "off") == 0 || depth > 4 {
		return rapid.SampledFrom([]any{nil, "text", "A", "a", "12", true, json.Number("7"), json.Number("1.5"), json.Number("1e99"), []any{}, []any{"x"},
			map[string]any{}, map[string]any{"__typename": "Part", "text": "x"}, map[string]any{"text": "x", "unknown": "y"}}).Draw(t, "anything")
	}
	if of.Elem != nil {
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, drawValue(t, schema, of.Elem, depth+1))
		}
		return list
	}
	def := schema.Types[of.NamedType]
	switch {
	case def.Kind == ast.Enum:
		return rapid.SampledFrom([]string{"A", "B"}).Draw(t, "enum")
	case def.Kind == ast.InputObject:
		object := map[string]any{}
		for _, f := range def.Fields {
			if (f.Type.NonNull || rapid.Bool().Draw(t, "given")) && f.Name != "self" || rapid.IntRange(0, 9).Draw(t, "deeper") == 0 {
				object[f.Name] = drawValue(t, schema, f.Type, depth+1)
			}
		}
		return object
	case def.Name == "Int":
		return json.Number("42")
	case def.Name == "Float":
		return json.Number("4.2")
	case def.Name == "Boolean":
		return rapid.Bool().Draw(t, "flag")
	}
	return rapid.StringN(0, 5, 20).Draw(t, "text")
}

func TestUsualVariablesAreThoseThatStandAsTheyAre(t *testing.T) {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: variableSchema})
	doc := gqlparser.MustLoadQueryWithRules(schema, variableQuery, rules.NewDefaultRules())
	op := doc.Operations[0]
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		values := map[string]any{}
		for _, v := range op.VariableDefinitions {
			if rapid.IntRange(0, 49).Draw(t, "absent") > 0 {
				values[v.Variable] = drawValue(t, schema, v.Type, 0)
			}
		}
		// Numbers by themselves are never usual; most runs are to be about the rest.
		if rapid.IntRange(0, 9).Draw(t, "numbers") > 0 {
			op = &ast.OperationDefinition{VariableDefinitions: ast.VariableDefinitionList{
				op.VariableDefinitions.ForName("w"), op.VariableDefinitions.ForName("p"), op.VariableDefinitions.ForName("t"), op.VariableDefinitions.ForName("k"),
			}}
			delete(values, "n")
			delete(values, "f")
		} else {
			op = doc.Operations[0]
		}
		defer func() { op = doc.Operations[0] }()
		if !usual(schema, op, values) {
			return
		}
		passed++
		text, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		coerced, err := validator.VariableValues(schema, op, values)
		after, _ := json.Marshal(values)
		if err != nil || !reflect.DeepEqual(coerced, values) || string(after) != string(text) {
			t.Fatalf("%s passed as usual and is coerced to %v, %v", text, coerced, err)
		}
	})
	if passed == 0 {
		t.Error("nothing was usual")
	}
	t.Logf("%d were usual", passed)
}
