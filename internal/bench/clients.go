package bench

import (
	"bytes"
	"fmt"
	"net/url"

	"daybook/internal/bench/wire"
)

const (
	topUpMutation    = `mutation TopUp($input: TopUpInput!) { topUp(input: $input) { transaction { id status } account { id balance version } userErrors { field message code } } }`
	transferMutation = `mutation Transfer($input: TransferInput!) { transfer(input: $input) { transaction { id status } account { id balance version } userErrors { field message code } } }`
	batchMutation    = `mutation Batch($input: SubmitBatchInput!) { submitBatch(input: $input) { results { transaction { id status } userErrors { field message code } } } }`
)

// clients are connections of their own, one for each caller, and the accounts that they work on.
type clients struct {
	host     string
	all      []*client
	accounts *accountSet
}

type client struct {
	*wire.Client
	body []byte
}

func newClients(server string, n int, a *accountSet) (*clients, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	c := &clients{accounts: a, host: u.Host}
	return c, c.connect(n)
}

// connect makes so many more clients. They are to be used soon: a server gives a connection seconds to ask its first question.
func (c *clients) connect(n int) error {
	for range n {
		one, err := wire.Dial(c.host, "/graphql")
		if err != nil {
			c.close()
			return err
		}
		c.all = append(c.all, &client{Client: one})
	}
	return nil
}

// openClients is newClients with the accounts opened and topped up.
func openClients(server string, n int, a *accountSet) (*clients, error) {
	c, err := newClients(server, 1, a)
	if err != nil {
		return nil, err
	}
	for from := 0; from < len(a.ids); from += openBatch / 2 {
		if err := c.open(a.ids[from:min(from+openBatch/2, len(a.ids))]); err != nil {
			c.close()
			return nil, fmt.Errorf("opening accounts: %w", err)
		}
	}
	return c, c.connect(n - 1)
}

func (c *clients) open(ids []string) error {
	one := c.all[0]
	one.begin(batchMutation)
	one.add(`{"commands":[`)
	for i, id := range ids {
		if i > 0 {
			one.add(`,`)
		}
		one.add(`{"createAccount":{"id":"`, id, `","ownerId":"bench","currency":"EUR","idempotencyKey":"open"}},`)
		one.add(`{"topUp":{"accountId":"`, id, `","amount":"`, opening.StringFixed(2), `","currency":"EUR","external":"bench","idempotencyKey":"fund"}}`)
	}
	one.add(`]}`)
	return one.send(2 * len(ids))
}

func (c *clients) close() {
	for _, one := range c.all {
		_ = one.Close()
	}
}

func (c *clients) topUp(caller, account int, key string) error {
	one := c.all[caller]
	one.begin(topUpMutation)
	one.add(`{"accountId":"`, c.accounts.ids[account], `","amount":"1.00","currency":"EUR","external":"bench","reason":"bench","idempotencyKey":"`, key, `"}`)
	return one.send(1)
}

func (c *clients) transfer(caller, n int) error {
	one := c.all[caller]
	one.begin(transferMutation)
	c.addTransfer(one, key(caller, n))
	return one.send(1)
}

func (c *clients) batch(caller, n, size int) error {
	one := c.all[caller]
	one.begin(batchMutation)
	one.add(`{"commands":[`)
	for i := range size {
		if i > 0 {
			one.add(`,`)
		}
		one.add(`{"transfer":`)
		c.addTransfer(one, key(caller, n*size+i))
		one.add(`}`)
	}
	one.add(`]}`)
	return one.send(size)
}

func (c *clients) addTransfer(one *client, key string) {
	from, to := c.accounts.pair()
	one.add(`{"fromAccountId":"`, c.accounts.ids[from], `","toAccountId":"`, c.accounts.ids[to],
		`","amount":"1.00","currency":"EUR","reason":"bench","idempotencyKey":"`, key, `"}`)
}

// begin starts a request; what is added next is the mutation's input.
func (c *client) begin(mutation string) {
	c.body = append(append(append(c.body[:0], `{"query":"`...), mutation...), `","variables":{"input":`...)
}

func (c *client) add(parts ...string) {
	for _, part := range parts {
		c.body = append(c.body, part...)
	}
}

var (
	noUserErrors = []byte(`"userErrors":[]`)
	overloaded   = []byte(`"OVERLOADED"`)
)

// send sends the request and reads its answer, in which so many commands must be free of errors. The error is
// errOverloaded when the server refuses it as too much.
func (c *client) send(commands int) error {
	c.body = append(c.body, "}}"...)
	answer, ok, err := c.Post(c.body)
	if err != nil {
		return err
	}
	if bytes.Contains(answer, overloaded) {
		return errOverloaded
	}
	if !ok || bytes.Count(answer, noUserErrors) != commands {
		return fmt.Errorf("a mutation failed: %.300s", firstError(answer))
	}
	return nil
}

// firstError is the answer from its first error on.
func firstError(answer []byte) []byte {
	if i := bytes.Index(answer, []byte(`[{"field"`)); i > 0 {
		return answer[i:]
	}
	return answer
}
