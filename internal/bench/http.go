package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"

	"daybook/graph"
	"daybook/graph/model"
	"daybook/internal/ids"
)

const createMutation = `mutation Create($input: CreateAccountInput!) { createAccount(input: $input) { account { id } userErrors { code } } }`

const topUpMutation = `mutation TopUp($input: TopUpInput!) { topUp(input: $input) { transaction { id status } account { id balance version } userErrors { field message code } } }`

// HTTP measures top-ups over HTTP GraphQL, one a request, with the given number of connections.
func HTTP(ctx context.Context, server string, callers int, d time.Duration) (Result, error) {
	c, err := newClients(server, callers)
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	run, err := c.openAccounts(accounts)
	if err != nil {
		return Result{}, err
	}
	return load(ctx, callers, d, func(_ context.Context, caller, n int) error {
		return c.topUp(caller, accountID(run, (caller*7919+n)%accounts), strconv.Itoa(caller)+"-"+strconv.Itoa(n))
	})
}

// EmptyHTTP measures the same requests against a plain gqlgen server of the same schema whose mutation does nothing.
func EmptyHTTP(ctx context.Context, callers int, d time.Duration) (Result, error) {
	h := handler.New(graph.NewExecutableSchema(graph.Config{Resolvers: emptyResolver{}}))
	h.AddTransport(transport.POST{})
	h.SetQueryCache(lru.New[*ast.QueryDocument](100))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return Result{}, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	c, err := newClients("http://"+listener.Addr().String()+"/", callers)
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	result, err := load(ctx, callers, d, func(_ context.Context, caller, n int) error {
		return c.topUp(caller, accountID("empty", (caller*7919+n)%accounts), strconv.Itoa(caller)+"-"+strconv.Itoa(n))
	})
	err = errors.Join(err, server.Close())
	if serveErr := <-ended; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return result, err
}

// emptyResolver answers top-ups with a constant.
type emptyResolver struct{ graph.ResolverRoot }

type emptyMutation struct{ graph.MutationResolver }

func (emptyResolver) Mutation() graph.MutationResolver { return emptyMutation{} }

func (emptyResolver) Account() graph.AccountResolver { return emptyAccount{} }

type emptyAccount struct{ graph.AccountResolver }

func (emptyMutation) TopUp(_ context.Context, in model.TopUpInput) (*model.TopUpPayload, error) {
	return &model.TopUpPayload{
		Transaction: &model.Transaction{ID: "00000000-0000-0000-0000-000000000000", Status: "COMPLETED"},
		UserErrors:  []*model.UserError{},
	}, nil
}

// clients are connections of their own, one for each caller, that speak just enough HTTP: what is measured is the
// server, which shares the machine with them.
type clients struct {
	host string
	all  []*client
}

type client struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
	body    []byte
}

func newClients(server string, n int) (*clients, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	c := &clients{host: u.Host}
	for range n {
		conn, err := net.DialTimeout("tcp", u.Host, 10*time.Second)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("connecting to the server: %w", err)
		}
		c.all = append(c.all, &client{conn: conn, reader: bufio.NewReaderSize(conn, 4096)})
	}
	return c, nil
}

func (c *clients) close() {
	for _, one := range c.all {
		_ = one.conn.Close()
	}
}

// openAccounts opens accounts for a run and returns its name, from which accountID makes theirs.
func (c *clients) openAccounts(n int) (string, error) {
	run := ids.New()[24:]
	for i := range n {
		input := fmt.Sprintf(`{"id":%q,"ownerId":"bench","currency":"EUR","idempotencyKey":"open"}`, accountID(run, i))
		if err := c.all[0].mutate(c.host, createMutation, input); err != nil {
			return "", err
		}
	}
	return run, nil
}

func accountID(run string, n int) string { return "bench-" + run + "-" + strconv.Itoa(n) }

func (c *clients) topUp(caller int, account, key string) error {
	one := c.all[caller]
	one.body = append(one.body[:0], `{"accountId":"`...)
	one.body = append(one.body, account...)
	one.body = append(one.body, `","amount":"1.00","currency":"EUR","external":"bench","reason":"bench","idempotencyKey":"`...)
	one.body = append(append(one.body, key...), `"}`...)
	return one.mutate(c.host, topUpMutation, string(one.body))
}

// mutate sends one mutation and reads its answer, which must be free of errors.
func (c *client) mutate(host, query, input string) error {
	length := len(`{"query":"","variables":{"input":}}`) + len(query) + len(input)
	b := append(c.request[:0], "POST /graphql HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	b = append(append(b, "\r\n\r\n{\"query\":\""...), query...)
	b = append(append(b, `","variables":{"input":`...), input...)
	c.request = append(b, "}}"...)
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return fmt.Errorf("sending a request: %w", err)
	}
	return c.answer()
}

var (
	headerLength  = []byte("content-length:")
	noUserErrors  = []byte(`"userErrors":[]`)
	statusOK      = []byte("HTTP/1.1 200 ")
	maxBodyLength = 1 << 20
)

func (c *client) answer() error {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	ok, length := bytes.HasPrefix(line, statusOK), -1
	for len(bytes.TrimSpace(line)) > 0 {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return fmt.Errorf("reading an answer: %w", err)
		}
		if len(line) > len(headerLength) && bytes.EqualFold(line[:len(headerLength)], headerLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(headerLength):]))); err != nil {
				return fmt.Errorf("reading an answer's length: %w", err)
			}
		}
	}
	if length < 0 || length > maxBodyLength {
		return errors.New("an answer has no length, or too great a one")
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	body := c.body[:length]
	if _, err := io.ReadFull(c.reader, body); err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	if !ok || !bytes.Contains(body, noUserErrors) {
		return fmt.Errorf("a mutation failed: %.300s", body)
	}
	return nil
}
