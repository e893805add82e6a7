package server

import "time"

// Limits bound what clients can make the server hold or do. The zero value stands for DefaultLimits.
type Limits struct {
	// Query bounds a single document.
	Query QueryLimits
	// Body bounds a request's body and a WebSocket message, in bytes.
	Body int64
	// Variables bounds the JSON of an operation's variables, in bytes, and Values how many values it holds: each takes
	// much more memory than its text. Both leave room for the largest batch.
	Variables, Values int
	// Header bounds a request's header, in bytes.
	Header int
	// Cache bounds the checked documents that are kept.
	Cache CacheLimits

	// Connections bounds the connections that are open at once; further ones wait to be accepted.
	Connections int
	// InFlight bounds the queries and mutations that are executed at once, whatever the transport.
	InFlight int
	// LargeBodies bounds the bodies and messages of unknown or more than usual length that are read at once.
	LargeBodies int
	// Streams bounds the WebSocket connections and event streams that are open at once.
	Streams int
	// StreamOperations bounds the operations that run at once on one WebSocket connection.
	StreamOperations int

	// ReadHeader and Read bound how long a request's header, and all of it, may take to arrive.
	ReadHeader, Read time.Duration
	// Request bounds how long a query or mutation may take: longer than a command that waits for its definite answer.
	Request time.Duration
	// Write bounds how long an answer may take from the request's arrival to the last byte sent.
	Write time.Duration
	// Idle is how long a connection may rest between requests.
	Idle time.Duration
	// StreamWrite bounds how long a client may leave one message of a stream untaken before it is disconnected.
	StreamWrite time.Duration
	// Init bounds how long a WebSocket client may take to say connection_init.
	Init time.Duration
	// Ping is the time between heartbeats of a stream. A client silent for two of them is disconnected.
	Ping time.Duration
	// Goodbye bounds how long a closed WebSocket waits for the client's own close frame.
	Goodbye time.Duration
	// Shutdown bounds how long the server waits for requests and streams to end.
	Shutdown time.Duration
}

// QueryLimits bound one document. What passes a limit is refused before anything is executed.
type QueryLimits struct {
	// Tokens bounds the lexical tokens.
	Tokens int
	// Depth bounds how deep fields nest, fragments followed; IntrospectionDepth the same below __schema and __type.
	Depth, IntrospectionDepth int
	// Selections bounds fields and fragments after every spread is replaced by its fragment, over all operations.
	Selections int
	// SameField bounds how often one response name may be selected at one place.
	SameField int
	// RootFields bounds the fields of an operation itself.
	RootFields int
	// Aliases, Directives, Fragments and Operations bound how many a document has.
	Aliases, Directives, Fragments, Operations int
	// ValueDepth bounds how deep lists and objects nest in arguments.
	ValueDepth int
	// Name bounds the length of a name, and of a number, in bytes.
	Name int
	// Cost bounds an operation's cost; IntrospectionCost that of its introspection. See cost.go for what things cost.
	Cost, IntrospectionCost int
}

// CacheLimits bound the cache of checked documents.
type CacheLimits struct {
	// Entries bounds how many are kept.
	Entries int
	// Bytes bounds their texts in total. What is kept for a document is several ten times its text.
	Bytes int
	// Document bounds the text of one: a longer one is checked anew each time.
	Document int
}

// DefaultLimits are for a server that anyone can reach.
func DefaultLimits() Limits {
	return Limits{
		Query: QueryLimits{
			Tokens: 2000, Depth: 12, IntrospectionDepth: 20, Selections: 1000, SameField: 10, RootFields: 20,
			Aliases: 100, Directives: 50, Fragments: 20, Operations: 10, ValueDepth: 8, Name: 64,
			Cost: 20_000, IntrospectionCost: 100_000,
		},
		Body: 512 << 10, Variables: 448 << 10, Values: 16_000, Header: 16 << 10,
		Cache:       CacheLimits{Entries: 1000, Bytes: 1 << 20, Document: 16 << 10},
		Connections: 16_384, InFlight: 2048, LargeBodies: 256, Streams: 8192, StreamOperations: 100,
		ReadHeader: 5 * time.Second, Read: 20 * time.Second, Request: 45 * time.Second, Write: time.Minute,
		Idle: 2 * time.Minute, StreamWrite: 10 * time.Second, Init: 5 * time.Second, Ping: 20 * time.Second,
		Goodbye: time.Second, Shutdown: 10 * time.Second,
	}
}

// usualBody is the length up to which a body needs no place among the large ones, in bytes.
const usualBody = 16 << 10
