package server

import (
	"encoding/json"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// usual tells whether the values of an operation's variables are, all of them, in the form that nearly all clients send:
// then they stand as they are. Whatever looks different in any way, right or wrong, is left to the general way, which
// coerces or refuses it: so this decides nothing about what is valid. It saves a large batch a third of its reading.
func usual(schema *ast.Schema, op *ast.OperationDefinition, values map[string]any) bool {
	for _, v := range op.VariableDefinitions {
		value, ok := values[v.Variable]
		// A number by itself becomes another type, and a default has to be worked out.
		if _, isNumber := value.(json.Number); !ok || isNumber || !usualValue(schema, v.Type, value) {
			return false
		}
	}
	return len(values) == len(op.VariableDefinitions) // A variable that is not declared is dropped.
}

func usualValue(schema *ast.Schema, t *ast.Type, value any) bool {
	if value == nil {
		return !t.NonNull
	}
	if t.Elem != nil {
		list, ok := value.([]any)
		if !ok {
			return false
		}
		for _, element := range list {
			if !usualValue(schema, t.Elem, element) {
				return false
			}
		}
		return true
	}
	def := schema.Types[t.NamedType]
	if def == nil {
		return false
	}
	switch def.Kind {
	case ast.Scalar:
		return usualScalar(def.Name, value)
	case ast.Enum:
		name, ok := value.(string)
		return ok && def.EnumValues.ForName(name) != nil
	case ast.InputObject:
		return usualObject(schema, def, value)
	case ast.Object, ast.Interface, ast.Union: // None is input.
	}
	return false
}

func usualObject(schema *ast.Schema, def *ast.Definition, value any) bool {
	object, ok := value.(map[string]any)
	if !ok {
		return false
	}
	known := 0
	for _, field := range def.Fields {
		v, given := object[field.Name]
		if !given {
			if field.Type.NonNull {
				return false
			}
			continue
		}
		known++
		if !usualValue(schema, field.Type, v) {
			return false
		}
	}
	return known == len(object)
}

func usualScalar(name string, value any) bool {
	switch v := value.(type) {
	case string:
		return name != "Int" && name != "Float" && name != "Boolean"
	case bool:
		return name == "Boolean"
	case json.Number:
		_, err := strconv.ParseInt(string(v), 10, 64)
		return name == "Int" && err == nil
	}
	return false
}
