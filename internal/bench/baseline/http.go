package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"daybook/internal/bench"
	"daybook/internal/bench/wire"
)

const (
	transfersPath = "/transfers"
	maxBody       = 64 << 10
	maxKey        = 256
	maxWhole      = 12 // Digits before the point.
)

// TransfersHTTP measures the same transfers as Transfers behind an HTTP endpoint that takes and answers JSON, from the
// given number of callers, each with a connection of its own that is kept alive. The URL is as of Transfers.
func TransfersHTTP(ctx context.Context, url string, callers int, d time.Duration) (result bench.Result, err error) {
	err = withBook(ctx, url, callers, accounts, opening, func(b *book) error {
		return b.serve(func(address string) error {
			result, err = b.loadHTTP(ctx, address, callers, d)
			return err
		})
	})
	return result, err
}

// serve answers requests while use runs.
func (b *book) serve(use func(address string) error) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+transfersPath, b.serveTransfer)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	err = use(listener.Addr().String())
	err = errors.Join(err, server.Close())
	if serveErr := <-ended; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

type transferRequest struct {
	Key    string `json:"idempotencyKey"`
	Debit  int64  `json:"debit"`
	Credit int64  `json:"credit"`
	Amount string `json:"amount"`
}

type transferAnswer struct {
	ID     string `json:"id,omitempty"`
	Status string `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

func (b *book) serveTransfer(w http.ResponseWriter, r *http.Request) {
	var in transferRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		answer(w, http.StatusBadRequest, transferAnswer{Error: string(invalidTransfer)})
		return
	}
	amount, ok := parseCents(in.Amount)
	if !ok || in.Key == "" || len(in.Key) > maxKey {
		answer(w, http.StatusBadRequest, transferAnswer{Error: string(invalidTransfer)})
		return
	}
	id, err := b.transfer(r.Context(), transfer{key: in.Key, debit: in.Debit, credit: in.Credit, amount: amount})
	var refused refusal
	switch {
	case errors.As(err, &refused):
		answer(w, http.StatusUnprocessableEntity, transferAnswer{Error: string(refused)})
	case err != nil:
		answer(w, http.StatusInternalServerError, transferAnswer{Error: "INTERNAL"})
	default:
		answer(w, http.StatusOK, transferAnswer{ID: strconv.FormatInt(id, 10), Status: "COMPLETED"})
	}
}

func answer(w http.ResponseWriter, status int, a transferAnswer) {
	body, err := json.Marshal(a)
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // Nobody is left to tell.
}

// parseCents reads an amount with two decimals, above zero, such as "12.50".
func parseCents(s string) (cents int64, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" || len(whole) > maxWhole || len(fraction) != 2 {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+fraction, 10, 63)
	return int64(n), err == nil && n > 0
}

func (b *book) loadHTTP(ctx context.Context, address string, callers int, d time.Duration) (bench.Result, error) {
	clients, bodies := make([]*wire.Client, callers), make([][]byte, callers)
	for i := range clients {
		c, err := wire.Dial(address, transfersPath)
		if err != nil {
			return bench.Result{}, err
		}
		defer c.Close() //nolint:errcheck // Every answer has been read.
		clients[i] = c
	}
	return bench.Load(ctx, callers, d, func(_ context.Context, caller, n int) error {
		t := b.random(caller, n)
		body := append(append(bodies[caller][:0], `{"idempotencyKey":"`...), t.key...)
		body = strconv.AppendInt(append(body, `","debit":`...), t.debit, 10)
		body = strconv.AppendInt(append(body, `,"credit":`...), t.credit, 10)
		body = append(body, `,"amount":"1.00"}`...)
		bodies[caller] = body
		got, ok, err := clients[caller].Post(body)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("a transfer failed: %.300s", got)
		}
		b.acknowledged.Add(1)
		return nil
	})
}
