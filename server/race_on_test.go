//go:build race

package server

// slowdown is what the race detector's instruments cost, at the most.
const slowdown = 10
