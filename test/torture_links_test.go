package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// The ways to cut a connection: by silence, by a refusal, by a reset.
var cuts = []string{"silent", "silent upstream", "silent downstream", "refused", "reset"}

func (x *tormentor) cut(random *rand.Rand, links []*link) func(context.Context) {
	l := links[random.IntN(len(links))]
	way := cuts[random.IntN(len(cuts))]
	d := between(random, 200*time.Millisecond, 8*time.Second)
	return func(ctx context.Context) {
		x.onLink(l, func() {
			f := x.begin(linkCut, "%s, %s, for %s", l.name, way, d.Round(time.Millisecond))
			defer x.over(f)
			if way == "refused" {
				l.proxy.Stop()
				pause(ctx, d)
				x.mustStart(l)
				return
			}
			stream := strings.TrimSpace(strings.TrimPrefix(way, "silent"))
			if way == "reset" {
				x.poison(ctx, l, d, `{"type": "reset_peer", "stream": "upstream", "attributes": {"timeout": 0}}`)
				return
			}
			var toxics []string
			for _, s := range []string{"upstream", "downstream"} {
				if stream == "" || stream == s {
					toxics = append(toxics, fmt.Sprintf(`{"type": "timeout", "stream": %q, "attributes": {"timeout": 0}}`, s))
				}
			}
			x.poison(ctx, l, d, toxics...)
		})
	}
}

// mustStart lets a proxy listen again.
func (x *tormentor) mustStart(l *link) {
	deadline := time.Now().Add(toxicPatience)
	for {
		err := l.proxy.Start()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			x.complain("the proxy of %s cannot listen again: %v", l.name, err)
			return
		}
		time.Sleep(clientPause)
	}
}

func (x *tormentor) delay(random *rand.Rand, links []*link) func(context.Context) {
	l := links[random.IntN(len(links))]
	d := between(random, time.Second, 6*time.Second)
	late := 20 + random.IntN(800)
	streams := []string{"upstream", "downstream"}[random.IntN(2):]
	narrow := random.IntN(4) == 0
	return func(ctx context.Context) {
		x.onLink(l, func() {
			var toxics []string
			for _, s := range streams {
				if narrow {
					toxics = append(toxics, fmt.Sprintf(`{"type": "bandwidth", "stream": %q, "attributes": {"rate": %d}}`, s, 2+late/50))
					continue
				}
				toxics = append(toxics, fmt.Sprintf(`{"type": "latency", "stream": %q, "attributes": {"latency": %d, "jitter": %d}}`, s, late, late/2))
			}
			how := fmt.Sprintf("by about %d ms", late)
			if narrow {
				how = fmt.Sprintf("to %d kB/s", 2+late/50)
			}
			f := x.begin(linkDelayed, "%s, %v, %s, for %s", l.name, streams, how, d.Round(time.Millisecond))
			x.poison(ctx, l, d, toxics...)
			x.over(f)
		})
	}
}

// onLink does something to a link that nothing else happens to. One between brokers counts as a broker.
func (x *tormentor) onLink(l *link, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasPrefix(l.name, "brokers") {
		if !x.busy.TryLock() {
			return
		}
		defer x.busy.Unlock()
		if x.g.cluster.whole() != nil {
			return
		}
	}
	do()
}

// poison gives a link toxics for a time.
func (x *tormentor) poison(ctx context.Context, l *link, d time.Duration, toxics ...string) {
	for i, text := range toxics {
		text = fmt.Sprintf(`{"name": "%d", "toxicity": 1, `, i) + text[1:]
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			x.complain("no toxic %s on %s: %v", text, l.name, err)
		}
	}
	pause(ctx, d)
	heal, cancel := context.WithTimeout(context.Background(), toxicPatience)
	defer cancel()
	l.proxy.Toxics.ResetToxics(heal)
}
