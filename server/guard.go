package server

import (
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"daybook/domain"
	"daybook/resolvers"
)

// guard checks a parsed document before anything expensive looks at it: the validator compares fields in pairs, and
// execution follows every spread. Its own work is linear in the document: each definition is measured once, whatever
// spreads it, and a document is only followed through its spreads once its expanded size is known to be small.
type guard struct {
	limits    QueryLimits
	fragments map[string]*ast.FragmentDefinition
	measured  map[string]size
	open      map[string]bool

	aliases, directives int
	// conditions are the variables that skip and include ask.
	conditions []string
	// visits counts the selections looked at.
	visits int
}

// size is what a selection set comes to with its spreads followed. Counts stop at one above their limit.
type size struct {
	selections           int
	depth, introspection int
}

// check returns the variables that skip and include depend on, or why the document is refused.
func (g *guard) check(doc *ast.QueryDocument) ([]string, *gqlerror.Error) {
	if err := g.enter(doc); err != nil {
		return nil, err
	}
	total := 0
	for _, op := range doc.Operations {
		s, err := g.operation(op)
		if err != nil {
			return nil, err
		}
		if total += s.selections; total > g.limits.Selections {
			return nil, tooCostly(op.Position, "the query must select at most %d fields, fragments expanded", g.limits.Selections)
		}
		if s.depth > g.limits.Depth || s.introspection > g.limits.IntrospectionDepth {
			return nil, tooCostly(op.Position, "the query must nest fields at most %d deep", g.limits.Depth)
		}
	}
	for _, f := range doc.Fragments {
		if _, used := g.measured[f.Name]; !used {
			return nil, badInput(f.Position, "each fragment must be used")
		}
	}
	for _, op := range doc.Operations {
		if err := g.root(op); err != nil {
			return nil, err
		}
	}
	return g.conditions, nil
}

// enter counts a document's definitions and takes down its fragments.
func (g *guard) enter(doc *ast.QueryDocument) *gqlerror.Error {
	if len(doc.Operations) == 0 {
		return badInput(nil, "the query must contain an operation")
	}
	if len(doc.Operations) > g.limits.Operations {
		return tooCostly(nil, "the query must contain at most %d operations", g.limits.Operations)
	}
	if len(doc.Fragments) > g.limits.Fragments {
		return tooCostly(nil, "the query must define at most %d fragments", g.limits.Fragments)
	}
	g.fragments = make(map[string]*ast.FragmentDefinition, len(doc.Fragments))
	g.measured = make(map[string]size, len(doc.Fragments))
	g.open = map[string]bool{}
	for _, f := range doc.Fragments {
		if g.fragments[f.Name] != nil {
			return badInput(f.Position, "each fragment must have a name of its own")
		}
		g.fragments[f.Name] = f
	}
	return nil
}

func (g *guard) operation(op *ast.OperationDefinition) (size, *gqlerror.Error) {
	if err := g.name(op.Position, op.Name); err != nil {
		return size{}, err
	}
	for _, v := range op.VariableDefinitions {
		if err := g.name(v.Position, v.Variable, v.Type.Name()); err != nil {
			return size{}, err
		}
		if err := g.value(v.DefaultValue, 0); err != nil {
			return size{}, err
		}
		if err := g.directive(v.Directives); err != nil {
			return size{}, err
		}
	}
	if err := g.directive(op.Directives); err != nil {
		return size{}, err
	}
	return g.set(op.SelectionSet)
}

// set measures a selection set.
func (g *guard) set(set ast.SelectionSet) (size, *gqlerror.Error) {
	var total size
	for _, selection := range set {
		g.visits++
		s, err := g.selection(selection)
		if err != nil {
			return total, err
		}
		total.selections = min(total.selections+1+s.selections, g.limits.Selections+1)
		total.depth = max(total.depth, s.depth)
		total.introspection = max(total.introspection, s.introspection)
	}
	return total, nil
}

func (g *guard) selection(selection ast.Selection) (size, *gqlerror.Error) {
	switch it := selection.(type) {
	case *ast.Field:
		return g.field(it)
	case *ast.InlineFragment:
		if err := g.name(it.Position, it.TypeCondition); err != nil {
			return size{}, err
		}
		if err := g.directive(it.Directives); err != nil {
			return size{}, err
		}
		return g.set(it.SelectionSet)
	case *ast.FragmentSpread:
		if err := g.name(it.Position, it.Name); err != nil {
			return size{}, err
		}
		if err := g.directive(it.Directives); err != nil {
			return size{}, err
		}
		return g.fragment(it)
	}
	return size{}, badInput(nil, "the query contains a selection of an unknown kind")
}

func (g *guard) field(f *ast.Field) (size, *gqlerror.Error) {
	if err := g.name(f.Position, f.Name, f.Alias); err != nil {
		return size{}, err
	}
	if f.Alias != f.Name {
		if g.aliases++; g.aliases > g.limits.Aliases {
			return size{}, tooCostly(f.Position, "the query must use at most %d aliases", g.limits.Aliases)
		}
	}
	if err := g.arguments(f.Arguments); err != nil {
		return size{}, err
	}
	if err := g.directive(f.Directives); err != nil {
		return size{}, err
	}
	s, err := g.set(f.SelectionSet)
	if f.Name == "__schema" || f.Name == "__type" {
		return size{selections: s.selections, depth: 1, introspection: s.depth + 1}, err
	}
	s.depth++
	return s, err
}

func (g *guard) fragment(spread *ast.FragmentSpread) (size, *gqlerror.Error) {
	f := g.fragments[spread.Name]
	if f == nil {
		return size{}, badInput(spread.Position, "each fragment that is spread must be defined in the query")
	}
	if s, done := g.measured[f.Name]; done {
		return s, nil
	}
	if g.open[f.Name] {
		return size{}, badInput(spread.Position, "a fragment must not spread itself, directly or through others")
	}
	if err := g.name(f.Position, f.TypeCondition); err != nil {
		return size{}, err
	}
	if err := g.directive(f.Directives); err != nil {
		return size{}, err
	}
	g.open[f.Name] = true
	s, err := g.set(f.SelectionSet)
	delete(g.open, f.Name)
	g.measured[f.Name] = s
	return s, err
}

// directive allows skip and include, whose effect is bounded. The schema also has defer, which no transport serves.
func (g *guard) directive(list ast.DirectiveList) *gqlerror.Error {
	for _, d := range list {
		if g.directives++; g.directives > g.limits.Directives {
			return tooCostly(d.Position, "the query must use at most %d directives", g.limits.Directives)
		}
		if d.Name != "skip" && d.Name != "include" {
			return badInput(d.Position, "the only directives are skip and include")
		}
		if err := g.arguments(d.Arguments); err != nil {
			return err
		}
		if on := d.Arguments.ForName("if"); on != nil && on.Value.Kind == ast.Variable && !slices.Contains(g.conditions, on.Value.Raw) {
			g.conditions = append(g.conditions, on.Value.Raw)
		}
	}
	return nil
}

func (g *guard) arguments(list ast.ArgumentList) *gqlerror.Error {
	for _, a := range list {
		if err := g.name(a.Position, a.Name); err != nil {
			return err
		}
		if err := g.value(a.Value, 0); err != nil {
			return err
		}
	}
	return nil
}

// value bounds nesting, which the validator prints level by level, and refuses numbers that do not fit: execution
// panics at them.
func (g *guard) value(v *ast.Value, depth int) *gqlerror.Error {
	if v == nil {
		return nil
	}
	if depth > g.limits.ValueDepth {
		return tooCostly(v.Position, "arguments must nest at most %d deep", g.limits.ValueDepth)
	}
	switch v.Kind {
	case ast.Variable, ast.EnumValue:
		return g.name(v.Position, v.Raw)
	case ast.IntValue, ast.FloatValue:
		if !g.fits(v) {
			return badInput(v.Position, "a number in the query is out of range; an amount must be a string")
		}
	}
	for _, child := range v.Children {
		if err := g.name(child.Position, child.Name); err != nil {
			return err
		}
		if err := g.value(child.Value, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) fits(number *ast.Value) bool {
	if len(number.Raw) > g.limits.Name {
		return false
	}
	var err error
	if number.Kind == ast.IntValue {
		_, err = strconv.ParseInt(number.Raw, 10, 64)
	} else {
		_, err = strconv.ParseFloat(number.Raw, 64)
	}
	return err == nil
}

// name bounds names: the validator repeats them in its messages, and measures how far they are from the known ones.
func (g *guard) name(at *ast.Position, names ...string) *gqlerror.Error {
	for _, name := range names {
		if len(name) > g.limits.Name {
			return badInput(at, "a name in the query must be at most %d characters", g.limits.Name)
		}
	}
	return nil
}

// group is the fields of one response name, which execution merges.
type group struct {
	at       *ast.Position
	fields   int
	children []ast.SelectionSet
}

// root bounds the fields of an operation itself. A subscription must have one in every execution, whatever its
// variables: execution has no words for its clients when there are none or several.
func (g *guard) root(op *ast.OperationDefinition) *gqlerror.Error {
	order := g.collect(map[string]*group{}, nil, op.SelectionSet)
	if op.Operation == ast.Subscription {
		if len(order) != 1 {
			return badInput(op.Position, "a subscription must select exactly one field")
		}
		if g.conditional(op.SelectionSet) {
			return badInput(op.Position, "a subscription must select exactly one field, without skip or include")
		}
	}
	if len(order) > g.limits.RootFields {
		return tooCostly(op.Position, "an operation must have at most %d fields of its own", g.limits.RootFields)
	}
	return g.merge(order)
}

// conditional tells whether a directive decides on any of the fields that a set comes to.
func (g *guard) conditional(set ast.SelectionSet) bool {
	return slices.ContainsFunc(set, func(selection ast.Selection) bool {
		g.visits++
		switch it := selection.(type) {
		case *ast.Field:
			return len(it.Directives) > 0
		case *ast.InlineFragment:
			return len(it.Directives) > 0 || g.conditional(it.SelectionSet)
		case *ast.FragmentSpread:
			return len(it.Directives) > 0 || g.conditional(g.fragments[it.Name].SelectionSet)
		}
		return false
	})
}

// merge follows fields as execution does, those of one response name together, and bounds how many these are: the
// validator compares each with each.
func (g *guard) merge(order []*group) *gqlerror.Error {
	for _, same := range order {
		if same.fields > g.limits.SameField {
			return tooCostly(same.at, "the query must select a field at most %d times at one place", g.limits.SameField)
		}
		if len(same.children) == 0 {
			continue
		}
		groups := map[string]*group{}
		var below []*group
		for _, set := range same.children {
			below = g.collect(groups, below, set)
		}
		if err := g.merge(below); err != nil {
			return err
		}
	}
	return nil
}

// collect adds the fields of a set to their groups, and the groups that are new to order.
func (g *guard) collect(groups map[string]*group, order []*group, set ast.SelectionSet) []*group {
	for _, selection := range set {
		g.visits++
		switch it := selection.(type) {
		case *ast.Field:
			same := groups[it.Alias]
			if same == nil {
				same = &group{at: it.Position}
				groups[it.Alias] = same
				order = append(order, same)
			}
			same.fields++
			if len(it.SelectionSet) > 0 {
				same.children = append(same.children, it.SelectionSet)
			}
		case *ast.InlineFragment:
			order = g.collect(groups, order, it.SelectionSet)
		case *ast.FragmentSpread:
			order = g.collect(groups, order, g.fragments[it.Name].SelectionSet)
		}
	}
	return order
}

func badInput(at *ast.Position, format string, args ...any) *gqlerror.Error {
	return located(resolvers.NewError(domain.BadUserInput, format, args...), at)
}

func tooCostly(at *ast.Position, format string, args ...any) *gqlerror.Error {
	return located(resolvers.NewError(domain.QueryTooCostly, format, args...), at)
}

func located(err *gqlerror.Error, at *ast.Position) *gqlerror.Error {
	if at != nil {
		err.Locations = []gqlerror.Location{{Line: at.Line, Column: at.Column}}
	}
	return err
}
