// Package graph is the API's executable schema, generated from schema.graphqls.
package graph

//go:generate sh -c "cd .. && go tool gqlgen generate"
