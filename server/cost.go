package server

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/projector"
	"daybook/resolvers"
)

// What an operation costs: each field 1, one that asks the read model more, and what stands below a list as often as
// the list may be long. A page of 100 accounts with a few plain fields costs some 600.
const (
	seekCost     = 5  // a look-up in the read model
	pageCost     = 5  // a page of a list
	mutationCost = 10 // a command, or a batch of them
	commandCost  = 1  // a command of a batch
	trailCost    = 60 // events that are searched for on both accounts
	groupCost    = 50 // changes that are searched for in a period
	explainCost  = 1000
	booksCost    = 5000 // a trial balance
	scanCost     = 500  // transactions that are searched for among all

	// Lengths are never taken as more: resolvers refuse what is above.
	maxPage  = 100
	maxBatch = resolvers.MaxBatch
	// usualPage is what a page holds when the length is neither given nor set by the schema.
	usualPage = 20
)

// weights are what fields cost beyond 1, those of Query and Mutation aside.
var weights = map[string]map[string]int{
	"Query":                   {"trialBalance": booksCost},
	"Account":                 {"changes": pageCost, "events": pageCost, "holds": pageCost, "explain": explainCost},
	"BalanceChangeConnection": {"openingBalance": seekCost, "closingBalance": seekCost},
	"ExplanationGroup":        {"changes": groupCost},
	"TrialBalance":            {"unfinished": explainCost},
	"Transaction": {
		"actorId": seekCost, "actorType": seekCost, "correlationId": seekCost, "causationId": seekCost, "trail": trailCost,
	},
}

// lists are how long the lists without pages are taken to be.
var lists = map[string]map[string]int{
	"Explanation": {"groups": 200}, "TrialBalance": {"lines": 1000}, "Transaction": {"trail": 4},
}

// introspectionLists are how long the schema's own lists are taken to be.
var introspectionLists = map[string]int{
	"types": 50, "fields": 8, "args": 3, "inputFields": 6, "enumValues": 10, "directives": 6, "locations": 3,
	"interfaces": 1, "possibleTypes": 1,
}

// pricing works out costs of a validated document that passed the guard, which bounds the selections it visits.
type pricing struct {
	limits    QueryLimits
	variables map[string]any
	// dynamic tells whether the cost depends on variables.
	dynamic bool
}

// operation returns the cost, and the cost of introspection, each at most one above its limit.
func (p *pricing) operation(op *ast.OperationDefinition) (cost, introspection int) {
	return p.set(op.SelectionSet)
}

func (p *pricing) affordable(op *ast.OperationDefinition) bool {
	cost, introspection := p.operation(op)
	return cost <= p.limits.Cost && introspection <= p.limits.IntrospectionCost
}

func (p *pricing) set(set ast.SelectionSet) (cost, introspection int) {
	for _, selection := range set {
		var c, i int
		switch it := selection.(type) {
		case *ast.Field:
			c, i = p.field(it)
		case *ast.InlineFragment:
			c, i = p.set(it.SelectionSet)
		case *ast.FragmentSpread:
			c, i = p.set(it.Definition.SelectionSet)
		}
		cost = min(cost+c, p.limits.Cost+1)
		introspection = min(introspection+i, p.limits.IntrospectionCost+1)
	}
	return cost, introspection
}

func (p *pricing) field(f *ast.Field) (cost, introspection int) {
	if f.Name == "__schema" || f.Name == "__type" {
		return 1, p.introspection(f.SelectionSet)
	}
	below, introspection := p.set(f.SelectionSet)
	if f.ObjectDefinition.Name == "Mutation" && f.Name == "submitBatch" {
		return 1 + weight(f) + p.batch(f)*(commandCost+below), introspection
	}
	return 1 + weight(f) + p.scan(f) + p.page(f)*below, introspection
}

func weight(f *ast.Field) int {
	on := f.ObjectDefinition.Name
	if known := weights[on][f.Name]; known > 0 {
		return known
	}
	switch {
	case on == "Query":
		return seekCost
	case on == "Mutation":
		return mutationCost
	case on == "Account" && f.Name == "balance" && f.Arguments.ForName("at") != nil:
		return seekCost
	}
	return 0
}

// scan is what a list of transactions costs more that the read model has to search for.
func (p *pricing) scan(f *ast.Field) int {
	filter := f.Arguments.ForName("filter")
	if filter == nil || f.ObjectDefinition.Name != "Query" || f.Name != "transactions" {
		return 0
	}
	p.dynamic = p.dynamic || varies(filter.Value)
	value, err := filter.Value.Value(p.variables)
	given, _ := value.(map[string]any)
	text := func(name string) string {
		if given[name] == nil {
			return ""
		}
		return fmt.Sprint(given[name])
	}
	q := projector.TransactionsQuery{
		AccountID: text("accountId"), CorrelationID: text("correlationId"),
		Status: transaction.Status(text("status")), Type: account.MovementType(text("type")),
	}
	if err != nil || q.Scans() {
		return scanCost
	}
	return 0
}

// varies tells whether a value depends on variables.
func varies(v *ast.Value) bool {
	return v.Kind == ast.Variable || slices.ContainsFunc(v.Children, func(child *ast.ChildValue) bool { return varies(child.Value) })
}

// page is how many there may be of what stands below the field.
func (p *pricing) page(f *ast.Field) int {
	argument := f.Definition.Arguments.ForName("first")
	if argument == nil {
		return max(1, lists[f.ObjectDefinition.Name][f.Name])
	}
	value := f.Arguments.ForName("first")
	if value == nil {
		return length(argument.DefaultValue, nil)
	}
	if value.Value.Kind == ast.Variable {
		p.dynamic = true
		if _, given := p.variables[value.Value.Raw]; !given {
			return length(argument.DefaultValue, nil)
		}
	}
	return length(value.Value, p.variables)
}

// batch is how many commands a batch has, or the most it may have where that cannot be told.
func (p *pricing) batch(f *ast.Field) int {
	input := f.Arguments.ForName("input")
	if input == nil {
		return maxBatch
	}
	list := input.Value
	if list.Kind == ast.ObjectValue {
		if list = list.Children.ForName("commands"); list == nil {
			return maxBatch
		}
	}
	switch list.Kind {
	case ast.ListValue:
		return min(len(list.Children), maxBatch)
	case ast.ObjectValue: // One alone stands for a list of one.
		return 1
	case ast.Variable:
		p.dynamic = true
	}
	value := p.variables[list.Raw]
	if in, ok := value.(map[string]any); ok && list == input.Value {
		value = in["commands"]
	}
	if commands, ok := value.([]any); ok {
		return min(len(commands), maxBatch)
	}
	return maxBatch
}

func length(v *ast.Value, variables map[string]any) int {
	value, err := v.Value(variables)
	if err != nil {
		return maxPage
	}
	n := int64(usualPage)
	switch value := value.(type) {
	case int64:
		n = value
	case json.Number:
		if n, err = value.Int64(); err != nil {
			n = maxPage
		}
	}
	return int(max(0, min(n, maxPage)))
}

func (p *pricing) introspection(set ast.SelectionSet) int {
	cost := 0
	for _, selection := range set {
		var c int
		switch it := selection.(type) {
		case *ast.Field:
			c = 1 + max(1, introspectionLists[it.Name])*p.introspection(it.SelectionSet)
		case *ast.InlineFragment:
			c = p.introspection(it.SelectionSet)
		case *ast.FragmentSpread:
			c = p.introspection(it.Definition.SelectionSet)
		}
		cost = min(cost+c, p.limits.IntrospectionCost+1)
	}
	return cost
}
