package engine

import "daybook/engine/ledger"

// commandNames are the kinds of commands, as the API's mutations are called.
var commandNames = [...]string{
	createAccount: "createAccount",
	topUp:         "topUp",
	withdraw:      "withdraw",
	transfer:      "transfer",
	pay:           "pay",
	refund:        "refund",
	authorizeHold: "authorizeHold",
	captureHold:   "captureHold",
	voidHold:      "voidHold",
	changeStatus:  "changeAccountStatus",
	changeLimits:  "changeAccountLimits",
	otherCommand:  "other",
}

const (
	createAccount = iota
	topUp
	withdraw
	transfer
	pay
	refund
	authorizeHold
	captureHold
	voidHold
	changeStatus
	changeLimits
	otherCommand
)

// kindOf is the index of a command's name.
func kindOf(c ledger.Command) int {
	switch c.(type) {
	case *ledger.CreateAccount:
		return createAccount
	case *ledger.TopUp:
		return topUp
	case *ledger.Withdraw:
		return withdraw
	case *ledger.Transfer:
		return transfer
	case *ledger.Pay:
		return pay
	case *ledger.Refund:
		return refund
	case *ledger.AuthorizeHold:
		return authorizeHold
	case *ledger.CaptureHold:
		return captureHold
	case *ledger.VoidHold:
		return voidHold
	case *ledger.ChangeStatus:
		return changeStatus
	case *ledger.ChangeLimits:
		return changeLimits
	default:
		return otherCommand
	}
}

// blankCommands makes a command of each kind, to be filled in.
var blankCommands = [otherCommand]func() ledger.Command{
	createAccount: func() ledger.Command { return &ledger.CreateAccount{} },
	topUp:         func() ledger.Command { return &ledger.TopUp{} },
	withdraw:      func() ledger.Command { return &ledger.Withdraw{} },
	transfer:      func() ledger.Command { return &ledger.Transfer{} },
	pay:           func() ledger.Command { return &ledger.Pay{} },
	refund:        func() ledger.Command { return &ledger.Refund{} },
	authorizeHold: func() ledger.Command { return &ledger.AuthorizeHold{} },
	captureHold:   func() ledger.Command { return &ledger.CaptureHold{} },
	voidHold:      func() ledger.Command { return &ledger.VoidHold{} },
	changeStatus:  func() ledger.Command { return &ledger.ChangeStatus{} },
	changeLimits:  func() ledger.Command { return &ledger.ChangeLimits{} },
}
