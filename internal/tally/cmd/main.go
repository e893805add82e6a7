// Command cmd adds up the files that the torture test wrote, and prints the table.
//
//	go run ./internal/tally/cmd FILE…
package main

import (
	"fmt"
	"os"

	"daybook/internal/tally"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
}

func run(paths []string) error {
	if len(paths) == 0 {
		return fmt.Errorf("name the files that the torture test wrote (make torture TALLY=FILE)")
	}
	var all []tally.Run
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		runs, err := tally.Read(f)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, runs...)
	}
	fmt.Print(tally.Table(tally.Sum(all)))
	return nil
}
