package server

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
)

// document is a query that was parsed, guarded, validated and priced. It is read-only.
type document struct {
	text string
	doc  *ast.QueryDocument
	// bare is the document without its operations' variables, for operations whose values stand as they are.
	bare *ast.QueryDocument
	// conditions are the variables that skip and include depend on.
	conditions []string
	// dynamic tells whether a cost depends on variables. The others are known to be affordable.
	dynamic bool
}

// documents checks queries, each distinct one once as long as the cache keeps it.
type documents struct {
	schema *ast.Schema
	limits Limits
	// visits counts the selections that guards looked at, for tests.
	visits atomic.Int64

	mu     sync.Mutex
	recent *list.List // of *document, the latest used first
	byText map[string]*list.Element
	bytes  int
}

func newDocuments(schema *ast.Schema, limits Limits) *documents {
	return &documents{schema: schema, limits: limits, recent: list.New(), byText: map[string]*list.Element{}}
}

// get returns the checked document of a query, or why it is refused.
func (d *documents) get(text string) (*document, gqlerror.List) {
	if known := d.cached(text); known != nil {
		return known, nil
	}
	fresh, errs := d.check(text)
	if len(errs) != 0 {
		return nil, errs
	}
	d.keep(fresh)
	return fresh, nil
}

func (d *documents) cached(text string) *document {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.byText[text]
	if e == nil {
		return nil
	}
	d.recent.MoveToFront(e)
	return e.Value.(*document)
}

func (d *documents) keep(fresh *document) {
	limits := d.limits.Cache
	if len(fresh.text) > limits.Document {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byText[fresh.text] != nil {
		return
	}
	d.byText[fresh.text] = d.recent.PushFront(fresh)
	d.bytes += len(fresh.text)
	for len(d.byText) > limits.Entries || d.bytes > limits.Bytes {
		oldest := d.recent.Remove(d.recent.Back()).(*document)
		delete(d.byText, oldest.text)
		d.bytes -= len(oldest.text)
	}
}

func (d *documents) check(text string) (*document, gqlerror.List) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, d.limits.Query.Tokens)
	if err != nil {
		return nil, gqlerror.List{syntaxError(err)}
	}
	g := guard{limits: d.limits.Query}
	conditions, refused := g.check(doc)
	d.visits.Add(int64(g.visits))
	if refused != nil {
		return nil, gqlerror.List{refused}
	}
	if errs := validate(d.schema, doc); len(errs) != 0 {
		return nil, errs
	}
	checked := &document{text: text, doc: doc, bare: withoutVariables(doc), conditions: conditions}
	for _, op := range doc.Operations {
		p := pricing{limits: d.limits.Query}
		affordable := p.affordable(op)
		if p.dynamic {
			checked.dynamic = true
		} else if !affordable {
			return nil, gqlerror.List{unaffordable(op)}
		}
	}
	return checked, nil
}

func withoutVariables(doc *ast.QueryDocument) *ast.QueryDocument {
	bare := *doc
	bare.Operations = make(ast.OperationList, len(doc.Operations))
	for i, op := range doc.Operations {
		o := *op
		o.VariableDefinitions = nil
		bare.Operations[i] = &o
	}
	return &bare
}

func unaffordable(op *ast.OperationDefinition) *gqlerror.Error {
	return tooCostly(op.Position, "the query asks for too much at once; ask for shorter pages or fewer fields")
}
