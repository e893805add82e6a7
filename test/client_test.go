package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// api is a client of the GraphQL API over HTTP.
type api struct {
	url    string
	client *http.Client
}

func newAPI(url string) *api {
	// A connection of its own, so that clients do not wait for one another's.
	return &api{url: url + "graphql", client: &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{}}}
}

// failure is a top-level error of an answer.
type failure struct {
	Message    string
	Path       []any
	Extensions struct {
		Code  string
		Field []string
	}
}

func (f *failure) Error() string { return f.Extensions.Code + ": " + f.Message }

// query sends an operation and reads its data. A top-level error comes back as a *failure, a lost answer as another.
func (a *api) query(document string, variables map[string]any, data any) error {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		return err
	}
	res, err := a.client.Post(a.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // It was read.
	var answer struct {
		Data   json.RawMessage
		Errors []*failure
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return fmt.Errorf("status %d: %w", res.StatusCode, err)
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0]
	}
	if data == nil {
		return nil
	}
	return json.Unmarshal(answer.Data, data)
}

func codeOf(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.Extensions.Code
	}
	return ""
}

// The parts of answers that tests look at.
type (
	accountAnswer struct {
		ID        string
		Balance   string
		Held      string
		Available string
		Version   int64
		Status    string
		Limits    struct{ MinBalance, MaxBalance string }
		// UpdatedAt is when its last event was decided.
		UpdatedAt time.Time
	}
	transactionAnswer struct {
		ID          string
		Status      string
		Amount      string
		FailureCode string
	}
	userError struct {
		Field   []string
		Message string
		Code    string
	}
	holdAnswer struct{ ID, Status, Remaining string }
	// payload is the answer of any mutation.
	payload struct {
		Account     *accountAnswer
		Transaction *transactionAnswer
		Hold        *holdAnswer
		UserErrors  []userError
	}
)

const (
	askAccount   = "id balance held available version status limits { minBalance maxBalance } updatedAt"
	accountQuery = "query($id: ID!, $version: Int) { account(id: $id, atLeastVersion: $version) { " + askAccount + " } }"
)

// mutation is the document of a mutation, given with the type of its input and what of its payload is asked for beside
// account and errors.
func mutation(name, input, more string) string {
	return fmt.Sprintf("mutation($input: %s!) { payload: %s(input: $input) { account { %s } %s userErrors { field message code } } }",
		input, name, askAccount, more)
}

const (
	askTransaction = "transaction { id status amount failureCode }"
	askHold        = "hold { id status remaining }"
)

var (
	createMutation   = mutation("createAccount", "CreateAccountInput", "")
	topUpMutation    = mutation("topUp", "TopUpInput", askTransaction)
	transferMutation = mutation("transfer", "TransferInput", askTransaction)
	withdrawMutation = mutation("withdraw", "WithdrawInput", askTransaction)
	payMutation      = mutation("pay", "PayInput", askTransaction)
	refundMutation   = mutation("refund", "RefundInput", askTransaction)
	holdMutation     = mutation("authorizeHold", "AuthorizeHoldInput", askHold)
	captureMutation  = mutation("captureHold", "CaptureHoldInput", askHold+askTransaction)
	voidMutation     = mutation("voidHold", "VoidHoldInput", askHold)
	statusMutation   = mutation("changeAccountStatus", "ChangeAccountStatusInput", "")
	limitsMutation   = mutation("changeAccountLimits", "ChangeAccountLimitsInput", "")
)

func (a *api) mutate(document string, input map[string]any) (payload, error) {
	var data struct{ Payload payload }
	err := a.query(document, map[string]any{"input": input}, &data)
	return data.Payload, err
}

func (a *api) create(id string) (payload, error) { return a.createLimited(id, "") }

// createLimited opens an account that holds at most so much; empty means without a limit.
func (a *api) createLimited(id, most string) (payload, error) {
	input := map[string]any{"id": id, "ownerId": "owner-of-" + id, "currency": "EUR", "idempotencyKey": "create"}
	if most != "" {
		input["limits"] = map[string]any{"maxBalance": most}
	}
	return a.mutate(createMutation, input)
}

func (a *api) topUp(id, amount, key string) (payload, error) {
	return a.mutate(topUpMutation, map[string]any{"accountId": id, "amount": amount, "currency": "EUR", "idempotencyKey": key})
}

func (a *api) transfer(from, to, amount, key string) (payload, error) {
	return a.mutate(transferMutation, map[string]any{
		"fromAccountId": from, "toAccountId": to, "amount": amount, "currency": "EUR", "idempotencyKey": key,
	})
}

func (a *api) account(id string, atLeast int64) (*accountAnswer, error) {
	var data struct{ Account *accountAnswer }
	err := a.query(accountQuery, map[string]any{"id": id, "version": atLeast}, &data)
	return data.Account, err
}
