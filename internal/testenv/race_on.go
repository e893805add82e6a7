//go:build race

package testenv

// Slowdown is what the race detector's instruments cost, at the most, and 1 without it.
const Slowdown = 10
