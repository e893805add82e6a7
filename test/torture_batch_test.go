package test

import (
	"fmt"
	"math/rand/v2"
	"time"
)

const bundleMutation = "mutation($input: SubmitBatchInput!) { payload: submitBatch(input: $input) { results { account { " + askAccount + " } " +
	askTransaction + askHold + " userErrors { field message code } } } }"

// batchFields names the commands of a batch by the mutations that they are by themselves.
var batchFields = map[string]string{
	createMutation: "createAccount", topUpMutation: "topUp", withdrawMutation: "withdraw", transferMutation: "transfer", payMutation: "pay",
	refundMutation: "refund", holdMutation: "authorizeHold", captureMutation: "captureHold", voidMutation: "voidHold",
	statusMutation: "changeAccountStatus", limitsMutation: "changeAccountLimits",
}

// batcher is a client that sends batches.
func (l *torment) batcher(client int) {
	random := rand.New(rand.NewPCG(l.seed, 100+uint64(client)))
	a := newAPI("")
	for n := 0; !l.stopped.Load(); n++ {
		time.Sleep(between(random, 0, 4*longestThought)) // The client thinks.
		group := &bundle{}
		key := func() string { return fmt.Sprintf("%d-%d-%d", client, n, len(group.commands)) }
		size := 2 + random.IntN(largestBatch-1)
		if random.IntN(2) == 0 {
			for range size {
				group.commands = append(group.commands, &order{operation: l.drawWithin(random, key(), int32(n%defaultPartitions)), group: group})
			}
			l.settleAtomic(a, random, group)
			continue
		}
		for range size {
			group.commands = append(group.commands, &order{operation: l.drawAny(random, key()), fleeting: random.IntN(8) == 0})
		}
		l.settleBatch(a, random, group.commands)
	}
}

// drawWithin chooses an operation that stays within a partition.
func (l *torment) drawWithin(random *rand.Rand, key string, partition int32) *operation {
	pick := func(not string) string {
		for {
			if id := l.accounts[random.IntN(len(l.accounts))]; partitionOf(id) == partition && id != not {
				return id
			}
		}
	}
	o := &operation{key: key, account: pick(""), input: map[string]any{"idempotencyKey": key, "currency": "EUR"}}
	// Small, or else hardly any batch would go through whole.
	o.input["amount"] = fmt.Sprintf("0.%02d", 1+random.IntN(99))
	switch n := random.IntN(10); {
	case n < 4:
		o.document, o.input["accountId"] = topUpMutation, o.account
	case n < 6:
		o.document, o.input["accountId"] = withdrawMutation, o.account
	default:
		o.document, o.input["fromAccountId"], o.input["toAccountId"] = transferMutation, o.account, pick(o.account)
	}
	return o
}

// settleBatch tries the commands together until each has a definite answer.
func (l *torment) settleBatch(a *api, random *rand.Rand, commands []*order) {
	for _, c := range commands {
		l.keep(c)
	}
	pending := commands
	for deadline := time.Now().Add(tortureSettle); ; {
		l.try(a, random, pending, false)
		var left []*order
		for _, c := range pending {
			if !c.settled {
				left = append(left, c)
			}
		}
		if pending = left; len(pending) == 0 || l.late(pending[0], deadline) {
			return
		}
	}
}

// settleAtomic tries an atomic batch as a whole until all of it has a definite answer. What its commands are told must
// agree.
func (l *torment) settleAtomic(a *api, random *rand.Rand, group *bundle) {
	for _, c := range group.commands {
		l.keep(c)
	}
	for deadline := time.Now().Add(tortureSettle); ; {
		l.try(a, random, group.commands, true)
		heard := map[string]int{}
		for _, c := range group.commands {
			heard[c.attempts[len(c.attempts)-1].Heard]++
		}
		all := len(group.commands)
		if heard[heardAck] > 0 && heard[heardAck] < all {
			l.fault(fmt.Errorf("of the atomic batch of %s on %s a part was acknowledged: %v", group.commands[0].key, group.commands[0].account, heard))
			return
		}
		if heard[heardAck]+heard[heardRefused] == all {
			return
		}
		for _, c := range group.commands {
			c.settled = false
		}
		if l.late(group.commands[0], deadline) {
			return
		}
	}
}

// try sends commands as a batch, once.
func (l *torment) try(a *api, random *rand.Rand, commands []*order, atomic bool) {
	parts := make([]map[string]any, len(commands))
	for i, c := range commands {
		parts[i] = map[string]any{batchFields[c.document]: c.input}
	}
	m := l.aim(a, random, partitionOf(commands[0].account))
	at := time.Now()
	var data struct{ Payload struct{ Results []payload } }
	err := a.query(bundleMutation, map[string]any{"input": map[string]any{"commands": parts, "atomic": atomic}}, &data)
	if err == nil && len(data.Payload.Results) != len(commands) {
		l.fault(fmt.Errorf("a batch of %d has %d results", len(commands), len(data.Payload.Results)))
		err = fmt.Errorf("%d results", len(data.Payload.Results))
	}
	for i, c := range commands {
		c.answer, c.err = payload{}, err
		if err == nil {
			c.answer = data.Payload.Results[i]
		}
		l.hear(c, m, at)
	}
}
