package sim

import (
	"math/rand/v2"

	"daybook/domain/account"
)

// drawer chooses what happens next, by one seed. It looks at the world to draw what makes sense at the moment.
type drawer struct {
	rng *rand.Rand
	w   *world
	// accounts are those that this history uses, home gives most of them its currency.
	accounts []int8
	home     int8
	// faults is how many of a thousand choices are faults.
	faults int
	nextOp int32
	// abroad is one in how many commands are sent to any node.
	abroad int
	// follows are choices that belong together and come soon.
	follows []choice
	// created counts the accounts that were opened first of all.
	created int
}

func newDrawer(seed uint64, w *world) *drawer {
	rng := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	d := &drawer{rng: rng, w: w, nextOp: 1, home: int8(rng.IntN(len(currencies))), faults: []int{0, 10, 30, 80}[rng.IntN(4)], abroad: []int{2, 5, 20}[rng.IntN(3)]}
	for _, n := range rng.Perm(accounts)[:3+rng.IntN(accounts-2)] {
		d.accounts = append(d.accounts, int8(n))
	}
	return d
}

func (d *drawer) oneIn(n int) bool { return d.rng.IntN(n) == 0 }

func (d *drawer) account() int8 { return d.accounts[d.rng.IntN(len(d.accounts))] }

func (d *drawer) part() int32 { return int32(d.rng.IntN(partitions)) }

func (d *drawer) node() int8 { return int8(d.rng.IntN(nodes)) }

// next draws a choice.
func (d *drawer) next() choice {
	if d.created < len(d.accounts) {
		s := d.spec(vCreate)
		s.acct = d.accounts[d.created]
		d.created++
		return choice{kind: kSubmit, node: d.front(s.acct), specs: []spec{s}}
	}
	if len(d.follows) > 0 && !d.oneIn(3) {
		c := d.follows[0]
		d.follows = d.follows[1:]
		return c
	}
	if d.rng.IntN(1000) < d.faults {
		return d.fault()
	}
	if d.oneIn(16) {
		if c, ok := d.repair(); ok {
			return c
		}
	}
	switch n := d.rng.IntN(100); {
	case n < 44:
		return d.client()
	case n < 50:
		return d.between()
	case n < 60:
		return choice{kind: kTick, part: d.part()}
	case n < 70:
		c := choice{kind: kDecide, n: 1 + int64(d.rng.IntN(12))}
		if d.oneIn(4) {
			c.mode = late
		}
		return d.at(c)
	case n < 76:
		return d.at(choice{kind: kSend})
	case n < 82:
		return d.at(choice{kind: kAnswer})
	case n < 86:
		return choice{kind: kRead, node: d.node(), part: d.part(), n: 1 + int64(d.rng.IntN(40))}
	case n < 91:
		return d.at(choice{kind: kCoord})
	case n < 94:
		return choice{kind: kProject, part: d.part(), n: 1 + int64(d.rng.IntN(30))}
	case n < 97:
		return choice{kind: kListen, op: int32(d.rng.IntN(subscribers)), n: 1 + int64(d.rng.IntN(10))}
	case n < 98:
		return choice{kind: kMove, op: int32(d.rng.IntN(subscribers)), node: d.node(), n: int64(d.account())}
	default:
		return choice{kind: kClock, n: d.pause()}
	}
}

// at places a choice at a node that owns a partition.
func (d *drawer) at(c choice) choice {
	c.part = d.part()
	c.node = d.anyOwner(c.part)
	return c
}

// anyOwner is a node that thinks it owns a partition, if there is one.
func (d *drawer) anyOwner(part int32) int8 {
	from := d.rng.IntN(nodes)
	for i := range nodes {
		if n := d.w.nodes[(from+i)%nodes]; n.seats[part].role == owning {
			return n.id
		}
	}
	return int8(from)
}

// repair brings back what crashed, so that histories do not spend their time without it.
func (d *drawer) repair() (choice, bool) {
	for p, id := range d.w.assigned {
		if n := d.w.nodes[id]; !n.up || !n.seats[p].assigned {
			return choice{kind: kAssign, node: d.node(), part: int32(p)}, true
		}
	}
	for _, n := range d.w.nodes {
		if !n.up {
			return choice{kind: kStart, node: n.id}, true
		}
	}
	return choice{}, false
}

// pause is in milliseconds: mostly short, at times long enough for holds to expire.
func (d *drawer) pause() int64 {
	switch d.rng.IntN(20) {
	case 0:
		return int64(d.rng.IntN(100_000))
	case 1:
		return int64(d.rng.IntN(20_000))
	default:
		return int64(d.rng.IntN(500))
	}
}

// front is the node that a client asks: the owner of the account, or at times any.
func (d *drawer) front(acct int8) int8 {
	if d.oneIn(d.abroad) {
		return d.node()
	}
	if d.oneIn(25) {
		return d.anyOwner(homes[acct])
	}
	return d.w.assigned[homes[acct]]
}

func (d *drawer) client() choice {
	if len(d.follows) == 0 && d.oneIn(50) {
		switch d.rng.IntN(6) {
		case 0:
			return d.replaced()
		case 1:
			return d.unseen()
		case 2:
			return d.closes()
		default:
			return d.rivals()
		}
	}
	switch n := d.rng.IntN(100); {
	case n < 7 && len(d.w.ops) > 1:
		return d.again()
	case n < 9 && len(d.w.ops) > 1:
		return d.giveUp()
	case n < 14:
		specs := d.group()
		c := choice{kind: kSubmit, node: d.front(specs[0].acct), specs: specs}
		if d.oneIn(3) {
			c.mode = apart
		}
		return c
	}
	s := d.spec(d.verb())
	return choice{kind: kSubmit, node: d.front(s.acct), specs: []spec{s}}
}

// recent draws an earlier command, the latest the most often.
func (d *drawer) recent() int32 {
	span := len(d.w.ops) - 1
	if !d.oneIn(4) {
		span = min(span, 20)
	}
	return int32(len(d.w.ops) - 1 - d.rng.IntN(span))
}

func (d *drawer) again() choice {
	c := d.repeat(d.recent())
	switch o := d.w.op(c.op); {
	case o == nil:
	case o.with != nil && d.oneIn(2):
		c.mode = together
	case d.oneIn(6):
		c.specs = d.beside(&o.spec, 1+d.rng.IntN(2))
	}
	return c
}

func (d *drawer) repeat(id int32) choice {
	o := d.w.op(id)
	c := choice{kind: kRetry, op: id, node: d.node()}
	if o != nil {
		c.node = d.front(o.spec.acct)
		if d.oneIn(3) {
			c.node = d.anyOwner(homes[o.spec.acct])
		}
	}
	return c
}

// group draws commands for accounts of one partition, to be carried out together.
func (d *drawer) group() []spec {
	first := d.spec(d.verb())
	return append([]spec{first}, d.beside(&first, 1+d.rng.IntN(4))...)
}

// beside draws commands for accounts in the partition of another's.
func (d *drawer) beside(other *spec, n int) []spec {
	specs := make([]spec, n)
	for i := range specs {
		specs[i] = d.spec([]verb{vTopUp, vTransfer, vPay, vWithdraw, vHold}[d.rng.IntN(5)])
		if s := &specs[i]; homes[s.acct] != homes[other.acct] {
			s.acct, s.currency = other.acct, other.currency
		}
	}
	return specs
}

// closes draws an account that is closed while all it has is on its way to another partition, to one who likely refuses it, and
// is opened again.
func (d *drawer) closes() choice {
	move, shut, open := d.spec(vTransfer), d.spec(vStatus), d.spec(vStatus)
	move.amount, move.version = max(1, d.w.audit.accounts[move.acct].balance.balance), none
	move.to = d.refuser(&move)
	for _, s := range []*spec{&shut, &open} {
		s.acct, s.version = move.acct, none
	}
	shut.status, open.status = account.Closed, account.Active
	part := homes[move.acct]
	owner := d.w.assigned[part]
	d.follow(choice{kind: kSubmit, node: owner, specs: []spec{shut}})
	d.settles(owner, part)
	for _, p := range []int32{part, homes[move.to], part} {
		d.follow(choice{kind: kTick, part: p})
	}
	d.follow(choice{kind: kSubmit, node: owner, specs: []spec{open}}, choice{kind: kTick, part: part})
	return choice{kind: kSubmit, node: owner, specs: []spec{move}}
}

// refuser is an account in another partition that has no room for a transfer, if there is one.
func (d *drawer) refuser(s *spec) int8 {
	for _, n := range d.accounts {
		if a := &d.w.audit.accounts[n]; homes[n] != homes[s.acct] && a.status != "" && a.max != none && a.balance.balance+s.amount > a.max {
			return n
		}
	}
	return d.account()
}

func (d *drawer) fault() choice {
	switch d.rng.IntN(22) {
	case 16, 17, 18, 19, 20, 21:
		return d.lostMail()
	case 0:
		return choice{kind: kCrash, node: d.node()}
	case 1, 2:
		return choice{kind: kStart, node: d.node()}
	case 3, 4:
		c := choice{kind: kAssign, node: d.node(), part: d.part()}
		if d.oneIn(2) {
			c.mode = unaware
		}
		return c
	case 5, 6, 7:
		return d.at(choice{kind: kSend, mode: []mode{requestOff, late, double, unordered}[d.rng.IntN(4)]})
	case 8:
		return d.at(choice{kind: kAnswer, mode: answerOff})
	case 9:
		return d.at(choice{kind: kCoord, mode: answerOff})
	case 10:
		return choice{kind: kStraggler, part: d.part()}
	case 11:
		return choice{kind: kTwice, part: d.part(), n: int64(d.rng.IntN(1000))}
	case 12:
		if d.oneIn(3) {
			return d.at(choice{kind: kRenew})
		}
		return choice{kind: kFlush, node: d.node(), part: d.part()}
	case 13:
		c := choice{kind: kSkew, node: d.node(), n: int64(d.rng.IntN(10_000)) - 5_000}
		if d.oneIn(8) {
			c.n *= 2000
		}
		return c
	case 14:
		return choice{kind: kProject, part: d.part(), n: 1 + int64(d.rng.IntN(30)), mode: []mode{crashed, unaware}[d.rng.IntN(2)]}
	default:
		if d.oneIn(2) {
			return choice{kind: kRead, node: d.node(), part: d.part(), n: 1, mode: crashed}
		}
		return choice{kind: kRebuild, part: d.part(), n: 1 + int64(d.rng.IntN(200))}
	}
}

var verbs = func() (weighted []verb) {
	for v, weight := range []int{vCreate: 1, vTopUp: 22, vWithdraw: 8, vTransfer: 22, vPay: 14, vRefund: 10, vHold: 8, vCapture: 8, vVoid: 3, vStatus: 3, vLimits: 3} {
		for range weight {
			weighted = append(weighted, verb(v))
		}
	}
	return weighted
}()

func (d *drawer) verb() verb { return verbs[d.rng.IntN(len(verbs))] }

// spec draws a command, at times with the key of another or with a version that may be wrong.
func (d *drawer) spec(v verb) spec {
	s := spec{op: d.nextOp, key: d.nextOp, verb: v, acct: d.account(), version: none, max: none, currency: d.home}
	d.nextOp++
	s.currency = d.currencyOf(s.acct)
	s.amount = 1 + int64(d.rng.IntN(600))
	switch v {
	case vTransfer, vPay, vHold:
		s.to = d.account()
	case vRefund:
		d.refer(&s, d.w.payments)
	case vCapture, vVoid:
		d.refer(&s, d.w.holds)
		s.final = d.oneIn(3)
	case vStatus:
		s.status = []account.Status{account.Active, account.Active, account.Suspended, account.Closed}[d.rng.IntN(4)]
	case vCreate, vLimits:
		d.limits(&s)
	default:
	}
	if v == vHold && !d.oneIn(10) {
		s.expires = d.w.now + 1 + int64(d.rng.IntN(60_000))
	}
	if d.oneIn(40) && len(d.w.ops) > 1 {
		if o := d.w.op(d.recent()); o != nil && o.spec.acct == s.acct {
			s.key = o.spec.key
		}
	}
	if d.oneIn(25) {
		s.version = max(0, d.w.audit.accounts[s.acct].version-int64(d.rng.IntN(3)))
	}
	return s
}

func (d *drawer) currencyOf(acct int8) int8 {
	if a := &d.w.audit.accounts[acct]; a.status != "" && !d.oneIn(50) {
		return int8(a.currency)
	}
	if d.oneIn(8) {
		return int8(d.rng.IntN(len(currencies)))
	}
	return d.home
}

// limits are narrow, so that they are met all the time.
func (d *drawer) limits(s *spec) {
	if d.oneIn(4) {
		s.min = -int64(d.rng.IntN(500))
	}
	if d.oneIn(2) {
		s.max = 200 + int64(d.rng.IntN(2_000))
	}
}

// refer makes the command about a hold or payment, mostly one of the latest.
func (d *drawer) refer(s *spec, to []*op) {
	if d.oneIn(2) {
		s.amount = all
	}
	if len(to) == 0 {
		return
	}
	o := to[len(to)-1-d.rng.IntN(min(len(to), 12))]
	s.ref, s.acct = o.spec.op, o.spec.acct
	if s.verb == vRefund {
		if n := accountNumber(o.done.Transaction.To); n >= 0 {
			s.acct = int8(n)
		}
	}
	s.currency = int8(currencyNumber(o.done.Account.Currency))
}
