// Catalogue writes docs/events.md from the registry of events and the published examples of each.
package main

import (
	"fmt"
	"os"
)

//go:generate go run . ../../eventstore/testdata/events ../../docs/events.md

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: catalogue FOLDER_OF_EXAMPLES FILE")
		os.Exit(2)
	}
	text, err := render(os.DirFS(os.Args[1]))
	if err == nil {
		err = os.WriteFile(os.Args[2], text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "catalogue:", err)
		os.Exit(1)
	}
}
