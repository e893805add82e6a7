// Package domain holds what Daybook knows about money, without I/O, clocks or ids of its own making.
//
// Its sub-packages follow one order: events, state, decisions. A decision is a pure function from state and command
// to events or a Refusal; folding an event never fails and never validates.
package domain
