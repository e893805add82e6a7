package sim

// Bug is a fault planted on purpose: the checks are trusted because they find each of them.
type Bug uint8

// The planted bugs.
const (
	NoBug Bug = iota
	// AnswerBeforeWrite answers callers when their command is decided.
	AnswerBeforeWrite
	// SettleUnread answers, after a takeover, the batches that nobody found in the log.
	SettleUnread
	// ReuseSequence gives a batch the sequence of the one before it.
	ReuseSequence
	// SkipFence lets the log take what writers of old epochs send.
	SkipFence
	// DropReversal loses the command that gives a refused transfer back.
	DropReversal
	// SkipAfterCrash notes the coordinator's position before what follows from it is sent.
	SkipAfterCrash
	// CommandsFirst sends the next commands before the transaction's events are recorded.
	CommandsFirst
	// ForgetLegs forgets which legs of transactions were carried out.
	ForgetLegs
	// LoseProgress begins, after a takeover, at the end of the command topic.
	LoseProgress
	// HoldsNotCounted decides as if nothing were held.
	HoldsNotCounted
	// DecideOnStored decides on what is written, blind for the batches in flight.
	DecideOnStored
	// ClockBack takes the wall clock as it is, even if it went back.
	ClockBack
	// SwapEvents writes two events of a batch in the wrong order.
	SwapEvents
	// ForgetOutcomes loses the idempotency keys in a restart.
	ForgetOutcomes
	// IgnoreInput answers a key that was used with other input as if it were the same.
	IgnoreInput
	// AnswerFromNow answers a repeat from the present state of the account.
	AnswerFromNow
	// OffsetApart writes the projector's offset before the rows and not with them.
	OffsetApart
	// NoOffsetCheck lets a projector write that began from an offset long passed.
	NoOffsetCheck
	// SubscriberSkips goes on with live events when some were lost.
	SubscriberSkips
	// SubscriberRepeats sends the event again after which a subscription resumes.
	SubscriberRepeats
	// HalfGroup keeps what was decided of an atomic group before one of its commands was refused.
	HalfGroup
	// AbortRepeats says of all of an atomic group that nothing was done, even if it was carried out before.
	AbortRepeats
	// AbortUnseen says so when the node that is asked does not find what one of them is about.
	AbortUnseen
	// RefusedDebits keeps the debit of a transfer whose credit was refused in the same decision.
	RefusedDebits
	// ExpireEarly releases holds a second before their time.
	ExpireEarly
	// ExpireNever overlooks the holds that were placed before the owner took over.
	ExpireNever
	// RefuseUnconfirmed answers refusals without making sure that no newer owner wrote since.
	RefuseUnconfirmed
	// WrongCode refuses what is not covered as if the account were closed.
	WrongCode
	// ForgetRefunds forgets what of a payment was refunded.
	ForgetRefunds
	// ForgetCaptures forgets what of a hold was captured.
	ForgetCaptures
	// SkipLine evaluates parcels that were addressed to another owner.
	SkipLine
	// ForgetParcels evaluates a parcel as often as it stands in the topic.
	ForgetParcels
	// ResendTold sends anew what an owner did not do, even if its client has its answer.
	ResendTold
	// MismatchReply takes an answer for that to another parcel.
	MismatchReply
	// ReplyBeforeWrite answers parcels when they are decided.
	ReplyBeforeWrite
	// ReplyUnconfirmed answers parcels without making sure that no newer owner wrote since.
	ReplyUnconfirmed
	// DisownUnconfirmed says of parcels for others that they are not done, without making sure of that.
	DisownUnconfirmed
	// DisownUnseen says of parcels for others that they are not done, without a look at the books.
	DisownUnseen
	// RefuseBeforeTopic refuses an owner's own requests before the command topic was read.
	RefuseBeforeTopic
	// RefuseBeforeQueue refuses parcels before the owner's queue was decided.
	RefuseBeforeQueue
	// RefuseApart lets attempts at one command be carried out after another one was refused.
	RefuseApart
	// HandOverRefused sends what was refused to the next owner.
	HandOverRefused
	// DropDisowned says, as a turn ends, that parcels for other owners are not done, as is true of its own.
	DropDisowned
	// PassParcel notes a position in the command topic behind a parcel that was not read.
	PassParcel

	bugs = iota
)

var bugNames = [bugs]string{
	"none", "answer-before-write", "settle-unread", "reuse-sequence", "skip-fence", "drop-reversal", "skip-after-crash",
	"commands-first", "forget-legs", "lose-progress", "holds-not-counted", "decide-on-stored", "clock-back", "swap-events",
	"forget-outcomes", "ignore-input", "answer-from-now", "offset-apart", "no-offset-check", "subscriber-skips",
	"subscriber-repeats", "half-group", "abort-repeats", "abort-unseen", "refused-debits", "expire-early", "expire-never", "refuse-unconfirmed", "wrong-code", "forget-refunds", "forget-captures",
	"skip-line", "forget-parcels", "resend-told", "mismatch-reply", "reply-before-write", "reply-unconfirmed", "disown-unconfirmed", "disown-unseen",
	"refuse-before-topic", "refuse-before-queue", "refuse-apart", "hand-over-refused", "drop-disowned", "pass-parcel",
}

// String gives the name that ParseBug reads.
func (b Bug) String() string { return bugNames[b] }

// ParseBug finds a planted bug by its name.
func ParseBug(name string) (Bug, bool) {
	for i, n := range bugNames {
		if n == name {
			return Bug(i), true
		}
	}
	return NoBug, false
}

// Bugs lists all planted bugs.
func Bugs() []Bug {
	all := make([]Bug, 0, bugs-1)
	for b := NoBug + 1; b < bugs; b++ {
		all = append(all, b)
	}
	return all
}
