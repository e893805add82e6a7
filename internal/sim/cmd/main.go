// Cmd runs the simulation for as long as asked and shows its progress. It ends with 1, and tells how to repeat it, when
// a promise is broken.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"daybook/internal/sim"
)

const progressEvery = time.Second

func main() {
	length := flag.Duration("time", time.Minute, "how long to run, for example 10m")
	seed := flag.String("seed", "", "where to begin; a fresh seed when empty")
	histories := flag.Int64("histories", 0, "stop after so many histories; 0 for no bound")
	bug := flag.String("bug", "none", "the bug to plant: "+bugNames())
	flag.Parse()
	if err := run(*length, *seed, *histories, *bug); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func bugNames() string {
	var names []string
	for _, b := range sim.Bugs() {
		names = append(names, b.String())
	}
	return strings.Join(names, ", ")
}

func run(length time.Duration, seedText string, histories int64, bugName string) error {
	planted, ok := sim.ParseBug(bugName)
	if !ok {
		return fmt.Errorf("no bug is called %q; choose one of %s", bugName, bugNames())
	}
	seed := rand.Uint64() >> 16
	if seedText != "" {
		var err error
		if seed, err = strconv.ParseUint(seedText, 10, 64); err != nil {
			return fmt.Errorf("%q is no seed; give a whole number", seedText)
		}
	}
	fmt.Printf("seed %d, for %s\n", seed, length)
	began := time.Now()
	shown := began
	stats, failure := sim.Run(seed, planted, func(s sim.Stats) bool {
		now := time.Now()
		if now.Sub(shown) >= progressEvery {
			shown = now
			fmt.Fprintf(os.Stderr, "\r%s", line(&s, now.Sub(began)))
		}
		return now.Sub(began) < length && (histories == 0 || s.Histories < histories)
	})
	fmt.Fprint(os.Stderr, "\r")
	fmt.Println(line(&stats, time.Since(began)))
	if failure != nil {
		return fmt.Errorf("%v", failure)
	}
	fmt.Printf("%d answered, %d refused, %d left unknown, %d events: every promise held\n", stats.Successes, stats.Refusals, stats.Unknown, stats.Events)
	fmt.Printf("%d parcels evaluated, %d commands not done by an owner that they were not sent to, %d given up and carried out after a later refusal\n",
		stats.Parcels, stats.NotDone, stats.Overtaken)
	return nil
}

func line(s *sim.Stats, took time.Duration) string {
	return fmt.Sprintf("%6.0f s: %d histories, %.1f million operations, %.1f million a minute",
		took.Seconds(), s.Histories, float64(s.Operations())/1e6, float64(s.Operations())/1e6/took.Minutes())
}
