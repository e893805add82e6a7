package soak

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"daybook/internal/ids"
)

const (
	topUpMutation    = `mutation($input: TopUpInput!) { topUp(input: $input) { transaction { id status } account { id balance version } userErrors { field message code } } }`
	withdrawMutation = `mutation($input: WithdrawInput!) { withdraw(input: $input) { transaction { id status } account { id balance version } userErrors { field message code } } }`
	transferMutation = `mutation($input: TransferInput!) { transfer(input: $input) { transaction { id status } account { id balance version } userErrors { field message code } } }`
	payMutation      = `mutation($input: PayInput!) { pay(input: $input) { transaction { id status } account { id balance version } userErrors { field message code } } }`
	refundMutation   = `mutation($input: RefundInput!) { refund(input: $input) { transaction { id status } account { id balance version } userErrors { field message code } } }`
	holdMutation     = `mutation($input: AuthorizeHoldInput!) { authorizeHold(input: $input) { hold { id status } account { id available version } userErrors { field message code } } }`
	captureMutation  = `mutation($input: CaptureHoldInput!) { captureHold(input: $input) { hold { id status } transaction { id status } account { id version } userErrors { field message code } } }`
	voidMutation     = `mutation($input: VoidHoldInput!) { voidHold(input: $input) { hold { id status } account { id version } userErrors { field message code } } }`
	batchMutation    = `mutation($input: SubmitBatchInput!) { submitBatch(input: $input) { results { transaction { id status } userErrors { field message code } } } }`

	accountQuery   = `query($id: ID!) { account(id: $id) { id balance available held version updatedAt } }`
	balanceQuery   = `query($id: ID!, $at: DateTime!) { account(id: $id) { id balance(at: $at) } }`
	statementQuery = `query($id: ID!, $from: DateTime!) { account(id: $id) { id changes(from: $from, first: 20) { openingBalance closingBalance edges { node { version signedAmount newBalance timestamp } } } } }`
	historyQuery   = `query($id: ID!) { transactions(first: 20, filter: {accountId: $id}) { edges { node { id type status amount } } } }`
)

const (
	// accounts is over how many accounts the load is spread. None is added later.
	accounts = 1000
	// kept is how many open holds there are about, of twice as many payments to refund that are remembered at most.
	kept = 256
	// batchCommands is how many commands a batch has, openBatch while accounts are opened.
	batchCommands = 20
	openBatch     = 500
	// statementPeriod is how far back statements reach, so that one is as long at the end as at the beginning.
	statementPeriod = time.Minute
)

// mix draws what clients do. Many may draw at once.
type mix struct {
	run   string
	ids   []string
	began time.Time
	// payments and holds are those that can still be refunded, captured or voided.
	payments, holds pool
}

func newMix() *mix {
	m := &mix{run: ids.New()[24:], began: time.Now()}
	for i := range accounts {
		m.ids = append(m.ids, fmt.Sprintf("soak-%s-%d", m.run, i))
	}
	return m
}

// request is one operation to send.
type request struct {
	query, variables string
	// read tells that it is a query.
	read bool
	// keep is where to put what the answer names, nil for nowhere.
	keep func(a *payload)
}

// share is how many of a hundred operations are of a kind.
type share struct {
	percent int
	draw    func(m *mix, key string) request
}

var shares = []share{
	{22, (*mix).topUp},
	{4, (*mix).withdraw},
	{30, (*mix).transfer},
	{11, (*mix).pay},
	{9, (*mix).refund},
	{6, (*mix).hold},
	{4, (*mix).capture},
	{3, (*mix).void},
	{1, (*mix).batch},
	{4, (*mix).account},
	{2, (*mix).balanceAt},
	{2, (*mix).statement},
	{2, (*mix).history},
}

// draw chooses the next operation; its key is its own.
func (m *mix) draw(n int64) request {
	key := fmt.Sprintf("%s-%d", m.run, n)
	left := rand.IntN(100)
	for _, s := range shares {
		if left -= s.percent; left < 0 {
			return s.draw(m, key)
		}
	}
	return m.account(key)
}

func (m *mix) any() string { return m.ids[rand.IntN(len(m.ids))] }

// two draws two accounts. With three partitions, two of three pairs lie in different ones.
func (m *mix) two() (from, to string) {
	i, j := rand.IntN(accounts), rand.IntN(accounts-1)
	if j >= i {
		j++
	}
	return m.ids[i], m.ids[j]
}

func input(format string, args ...any) string {
	return `{"input":{` + fmt.Sprintf(format, args...) + `}}`
}

const moved = `"amount":"1.00","currency":"EUR","reason":"soak"`

func (m *mix) topUp(key string) request {
	return request{query: topUpMutation, variables: input(`"accountId":%q,%s,"external":"soak","idempotencyKey":%q`, m.any(), moved, key)}
}

func (m *mix) withdraw(key string) request {
	return request{query: withdrawMutation, variables: input(`"accountId":%q,%s,"external":"soak","idempotencyKey":%q`, m.any(), moved, key)}
}

func (m *mix) between(query, key string) request {
	from, to := m.two()
	return request{query: query, variables: input(`"fromAccountId":%q,"toAccountId":%q,%s,"idempotencyKey":%q`, from, to, moved, key)}
}

func (m *mix) transfer(key string) request { return m.between(transferMutation, key) }

func (m *mix) pay(key string) request {
	r := m.between(payMutation, key)
	r.keep = func(a *payload) {
		if a.Transaction != nil && a.Transaction.Status == "COMPLETED" {
			m.payments.put(a.Transaction.ID)
		}
	}
	return r
}

// refund gives one of the last payments back, or makes one where there is none.
func (m *mix) refund(key string) request {
	payment, ok := m.payments.take()
	if !ok {
		return m.pay(key)
	}
	return request{query: refundMutation, variables: input(`"paymentId":%q,"reason":"soak","idempotencyKey":%q`, payment, key)}
}

// hold sets an amount aside, or ends a hold when enough are open, so that they do not become more and more.
func (m *mix) hold(key string) request {
	if m.holds.full() {
		return m.void(key)
	}
	from, to := m.two()
	return request{
		query:     holdMutation,
		variables: input(`"accountId":%q,"toAccountId":%q,%s,"idempotencyKey":%q`, from, to, moved, key),
		keep: func(a *payload) {
			if a.Hold != nil {
				m.holds.put(a.Hold.ID)
			}
		},
	}
}

func (m *mix) capture(key string) request { return m.endHold(captureMutation, key) }

func (m *mix) void(key string) request { return m.endHold(voidMutation, key) }

func (m *mix) endHold(query, key string) request {
	hold, ok := m.holds.take()
	if !ok {
		return m.topUp(key)
	}
	return request{query: query, variables: input(`"holdId":%q,"reason":"soak","idempotencyKey":%q`, hold, key)}
}

func (m *mix) batch(key string) request {
	var commands []string
	for i := range batchCommands {
		from, to := m.two()
		commands = append(commands, fmt.Sprintf(`{"transfer":{"fromAccountId":%q,"toAccountId":%q,%s,"idempotencyKey":"%s-%d"}}`, from, to, moved, key, i))
	}
	return request{query: batchMutation, variables: input(`"commands":[%s]`, strings.Join(commands, ","))}
}

func (m *mix) account(string) request {
	return request{query: accountQuery, variables: fmt.Sprintf(`{"id":%q}`, m.any()), read: true}
}

// balanceAt asks for a moment of all the time so far: however much has happened since, it costs the same.
func (m *mix) balanceAt(string) request {
	at := time.Now().Add(-rand.N(time.Since(m.began) + time.Second))
	return request{query: balanceQuery, variables: fmt.Sprintf(`{"id":%q,"at":%q}`, m.any(), stamp(at)), read: true}
}

func (m *mix) statement(string) request {
	from := time.Now().Add(-statementPeriod)
	return request{query: statementQuery, variables: fmt.Sprintf(`{"id":%q,"from":%q}`, m.any(), stamp(from)), read: true}
}

func (m *mix) history(string) request {
	return request{query: historyQuery, variables: fmt.Sprintf(`{"id":%q}`, m.any()), read: true}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// opening opens the accounts and puts money into them, more than the load can take from one.
func (m *mix) opening() []request {
	var all []request
	for from := 0; from < len(m.ids); from += openBatch / 2 {
		var commands []string
		for _, id := range m.ids[from:min(from+openBatch/2, len(m.ids))] {
			commands = append(commands,
				fmt.Sprintf(`{"createAccount":{"id":%q,"ownerId":"soak","currency":"EUR","idempotencyKey":"open"}}`, id),
				fmt.Sprintf(`{"topUp":{"accountId":%q,"amount":"10000000.00","currency":"EUR","external":"soak","idempotencyKey":"fund"}}`, id))
		}
		all = append(all, request{query: batchMutation, variables: input(`"commands":[%s]`, strings.Join(commands, ","))})
	}
	return all
}

// pool keeps some of what was put into it, and gives each out once.
type pool struct {
	mu  sync.Mutex
	all []string
}

// put keeps an id; of too many it replaces one.
func (p *pool) put(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) < 2*kept {
		p.all = append(p.all, id)
		return
	}
	p.all[rand.IntN(len(p.all))] = id
}

func (p *pool) take() (id string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == 0 {
		return "", false
	}
	i, last := rand.IntN(len(p.all)), len(p.all)-1
	id, p.all[i] = p.all[i], p.all[last]
	p.all = p.all[:last]
	return id, true
}

func (p *pool) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all) >= kept
}
