package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// refusedPause is how long a client that was refused waits before it asks for its next transfer.
const refusedPause = 250 * time.Millisecond

// errOverloaded is the server's refusal of what is more than it can take.
var errOverloaded = errors.New("the server is overloaded")

// Overload measures transfers over HTTP GraphQL like HTTPTransfers, of clients that may be too many: what is accepted
// and, over the same time and its warm-up, what is refused as OVERLOADED.
func Overload(ctx context.Context, server string, partitions int32, callers int, d time.Duration) (accepted, refused Result, err error) {
	c, err := openClients(server, callers, newAccountSet(partitions))
	if err != nil {
		return Result{}, Result{}, err
	}
	defer c.close()
	var mu sync.Mutex
	var refusals []time.Duration
	resting := make([]bool, callers)
	began := time.Now()
	results, err := loadKinds(ctx, callers, d, 1, func(ctx context.Context, caller, n int) (int, error) {
		if resting[caller] {
			resting[caller] = false
			wait(ctx, refusedPause)
			return unmeasured, nil
		}
		asked := time.Now()
		err := c.transfer(caller, n)
		if !errors.Is(err, errOverloaded) {
			return 0, err
		}
		resting[caller] = true
		mu.Lock()
		defer mu.Unlock()
		refusals = append(refusals, time.Since(asked))
		return unmeasured, nil
	})
	return results[0], summarise(refusals, time.Since(began)), err
}
