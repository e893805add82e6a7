package scalar

import (
	"io"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
)

// The enums of the API are the domain's own constants: their names are one and the same.

// UnmarshalAccountType reads the enum.
func UnmarshalAccountType(v any) (account.Type, error) {
	return enum("AccountType", v, account.User, account.System)
}

// MarshalAccountType writes the enum.
func MarshalAccountType(v account.Type) graphql.Marshaler { return name(string(v)) }

// UnmarshalAccountStatus reads the enum.
func UnmarshalAccountStatus(v any) (account.Status, error) {
	return enum("AccountStatus", v, account.Active, account.Suspended, account.Closed)
}

// MarshalAccountStatus writes the enum.
func MarshalAccountStatus(v account.Status) graphql.Marshaler { return name(string(v)) }

// UnmarshalChangeType reads the enum.
func UnmarshalChangeType(v any) (account.ChangeType, error) {
	return enum("ChangeType", v, account.Credit, account.Debit)
}

// MarshalChangeType writes the enum.
func MarshalChangeType(v account.ChangeType) graphql.Marshaler { return name(string(v)) }

// UnmarshalTransactionType reads the enum.
func UnmarshalTransactionType(v any) (account.MovementType, error) {
	return enum("TransactionType", v, account.Topup, account.Withdrawal, account.Transfer, account.Payment, account.Refund)
}

// MarshalTransactionType writes the enum.
func MarshalTransactionType(v account.MovementType) graphql.Marshaler { return name(string(v)) }

// UnmarshalHoldStatus reads the enum.
func UnmarshalHoldStatus(v any) (account.HoldStatus, error) {
	return enum("HoldStatus", v, account.HoldActive, account.HoldCaptured, account.HoldVoided, account.HoldExpired)
}

// MarshalHoldStatus writes the enum.
func MarshalHoldStatus(v account.HoldStatus) graphql.Marshaler { return name(string(v)) }

// UnmarshalTransactionStatus reads the enum.
func UnmarshalTransactionStatus(v any) (transaction.Status, error) {
	return enum("TransactionStatus", v, transaction.Pending, transaction.Completed, transaction.Failed, transaction.Compensated)
}

// MarshalTransactionStatus writes the enum.
func MarshalTransactionStatus(v transaction.Status) graphql.Marshaler { return name(string(v)) }

// UnmarshalErrorCode refuses: the API takes no codes.
func UnmarshalErrorCode(any) (domain.Code, error) { return "", refuse("an ErrorCode is output only") }

// MarshalErrorCode writes the enum.
func MarshalErrorCode(v domain.Code) graphql.Marshaler { return name(string(v)) }

func enum[T ~string](of string, v any, known ...T) (T, error) {
	s, ok := v.(string)
	names := make([]string, 0, len(known))
	for _, k := range known {
		if ok && s == string(k) {
			return k, nil
		}
		names = append(names, string(k))
	}
	return "", refuse("%s must be one of %s, in upper case", of, strings.Join(names, ", "))
}

func name(s string) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { writePlain(w, s) })
}
