// Errorlist writes docs/errors.md from the API's schema and what is known of each code beyond its description.
package main

import (
	"fmt"
	"os"
)

//go:generate go run . ../../schema.graphqls ../../docs/errors.md

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: errorlist SCHEMA FILE")
		os.Exit(2)
	}
	schema, err := os.ReadFile(os.Args[1])
	var text []byte
	if err == nil {
		text, err = render(string(schema))
	}
	if err == nil {
		err = os.WriteFile(os.Args[2], text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "errorlist:", err)
		os.Exit(1)
	}
}
