package projector

import "strings"

// cache keeps what was used last: what is not used while recent fills up is forgotten with older.
type cache[T any] struct {
	limit         int
	recent, older map[string]*T
}

func newCache[T any](limit int) *cache[T] { return &cache[T]{limit: limit, recent: map[string]*T{}} }

// get returns nil for what it does not have.
func (c *cache[T]) get(key string) *T {
	v, ok := c.recent[key]
	if !ok {
		if v, ok = c.older[key]; ok {
			c.put(strings.Clone(key), v)
		}
	}
	return v
}

// put keeps a value; the key must not hold on to more memory than its own.
func (c *cache[T]) put(key string, v *T) {
	if len(c.recent) >= c.limit {
		c.older, c.recent = c.recent, make(map[string]*T, c.limit)
	}
	c.recent[key] = v
}

// drop forgets a value.
func (c *cache[T]) drop(key string) {
	delete(c.recent, key)
	delete(c.older, key)
}
