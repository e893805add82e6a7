package server

import (
	"errors"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"daybook/domain"
	"daybook/resolvers"
)

// The parser's and the validator's messages repeat values from the query, which may be long, secret or hostile. What
// they say about the place at fault is kept, the values are cut.

// syntaxError says what the parser expected and where.
func syntaxError(err error) *gqlerror.Error {
	var parsed *gqlerror.Error
	if !errors.As(err, &parsed) {
		return badInput(nil, "the query cannot be parsed")
	}
	if strings.HasPrefix(parsed.Message, "exceeded") {
		return at(parsed, resolvers.NewError(domain.QueryTooCostly, "the query is too long or too deep: it %s", parsed.Message))
	}
	said := parsed.Message
	if expected, _, found := strings.Cut(said, ", found "); found {
		said = expected
	} else {
		said = said[:min(prefix(said, `"`), prefix(said, ":"))]
	}
	said = strings.TrimRight(said, " .,")
	return at(parsed, resolvers.NewError(domain.BadUserInput, "the query cannot be parsed: %s", said))
}

// validationError takes the values out of what the validator says. Names stay: the guard bounds them.
func validationError(err *gqlerror.Error) *gqlerror.Error {
	if err.Rule == rules.MaxIntrospectionDepth.Name {
		return at(err, resolvers.NewError(domain.QueryTooCostly,
			"the query must nest the introspection's fields, inputFields, interfaces and possibleTypes less deep"))
	}
	said := err.Message
	if err.Rule == "ValuesOfCorrectType" {
		for _, before := range []string{", found ", " value: "} {
			if kept, _, found := strings.Cut(said, before); found {
				said = kept + strings.TrimRight(strings.TrimSuffix(before, "found "), ", :") + "."
				break
			}
		}
	}
	return at(err, resolvers.NewError(domain.BadUserInput, "%s", said))
}

// variableError says which variable is at fault, and what it must be. Its path may end in a name that the client made
// up, which is only told where it can be nothing but the slip of somebody who types names.
func variableError(err *gqlerror.Error) *gqlerror.Error {
	path := err.Path
	if len(path) > 0 && path[0] == ast.PathElement(ast.PathName("variable")) {
		path = path[1:]
	}
	said := err.Message
	switch {
	case said == "unknown field" && len(path) > 0:
		name, _ := path[len(path)-1].(ast.PathName)
		path, said = path[:len(path)-1], "has a field that its type does not have"
		if plain(string(name)) {
			said = "has a field " + string(name) + ", which its type does not have"
		}
	case strings.Contains(said, "is not a valid "):
		_, kind, _ := strings.Cut(said, "is not a valid ")
		said = "is not a valid " + kind
	case strings.HasPrefix(said, "cannot use "):
		_, kind, _ := strings.Cut(said, " as ")
		said = wanted(kind)
	case strings.HasPrefix(said, "must be a "):
		said, _, _ = strings.Cut(said, ", not a ")
	case strings.HasPrefix(said, "enums must"):
		said = "must be one of the names of its type"
	}
	return resolvers.NewError(domain.BadUserInput, "the variable $%s %s", path.String(), said)
}

// wanted says what a value of one of the language's own types must be.
func wanted(kind string) string {
	switch kind {
	case "Int":
		return "must be an integer of 32 bits"
	case "Boolean":
		return "must be true or false"
	case "ID", "String":
		return "must be a string"
	}
	return "is not of its type"
}

// maxPlain bounds a client's name that is repeated, in bytes.
const maxPlain = 64

// plain tells whether a name is of letters, digits and underscores, as the language's are, and not long.
func plain(name string) bool {
	other := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_'
	}
	return name != "" && len(name) <= maxPlain && !strings.ContainsFunc(name, other)
}

func at(from, err *gqlerror.Error) *gqlerror.Error {
	err.Locations = from.Locations
	return err
}

func prefix(s, mark string) int {
	if i := strings.Index(s, mark); i >= 0 {
		return i
	}
	return len(s)
}
