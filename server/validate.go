package server

import (
	"maps"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// maxErrors bounds how many faults of a query are told.
const maxErrors = 5

// specified are the rules of the language, in a fixed order.
var specified = func() []validator.Rule {
	known := rules.NewDefaultRules().GetInner()
	var all []validator.Rule
	for _, name := range slices.Sorted(maps.Keys(known)) {
		all = append(all, validator.Rule{Name: name, RuleFunc: known[name]})
	}
	return all
}()

// enough stops a validation.
type enough struct{}

// validate returns the first faults of a document. It stops at them: the validator looks for the names that each
// unknown one may have been meant to be, as often as fragments lead to it, which adds up.
func validate(schema *ast.Schema, doc *ast.QueryDocument) (faults gqlerror.List) {
	defer func() {
		if cause := recover(); cause != nil && cause != (enough{}) {
			panic(cause)
		}
	}()
	var observers validator.Events
	for _, rule := range specified {
		rule.RuleFunc(&observers, func(options ...validator.ErrorOption) {
			fault := &gqlerror.Error{Rule: rule.Name}
			for _, option := range options {
				option(fault)
			}
			faults = append(faults, validationError(fault))
			if len(faults) == maxErrors {
				panic(enough{})
			}
		})
	}
	validator.Walk(schema, doc, &observers)
	return faults
}
