package sim

// between draws what carries commands and answers from node to node.
func (d *drawer) between() choice {
	from := d.rng.IntN(nodes)
	for i := range nodes * partitions {
		n, part := d.w.nodes[(from+i)%nodes], (from+i)/nodes%partitions
		if c := &n.couriers[part]; n.up && len(c.outbox)+len(c.doubt) > 0 && !d.oneIn(3) {
			return choice{kind: kPost, node: n.id, part: int32(part)}
		}
	}
	for i := range nodes {
		n := d.w.nodes[(from+i)%nodes]
		switch {
		case len(n.outgoing) > 0 && d.oneIn(2):
			return choice{kind: kReply, node: n.id}
		case n.up && n.heard < len(d.w.replies) && d.oneIn(2):
			return choice{kind: kHear, node: n.id, n: 1 + int64(d.rng.IntN(10))}
		}
	}
	return d.at(choice{kind: kDecide, n: 1 + int64(d.rng.IntN(3))})
}

// lostMail draws what goes wrong between nodes.
func (d *drawer) lostMail() choice {
	c := d.between()
	switch {
	case d.oneIn(3):
		return choice{kind: kMail, part: d.part()}
	case c.kind == kPost:
		c.mode = []mode{requestOff, late, double, answerOff, crashed}[d.rng.IntN(5)]
	case c.kind == kReply:
		c.mode = []mode{requestOff, late, double}[d.rng.IntN(3)]
	case d.oneIn(3):
		return choice{kind: kTwice, part: d.part(), n: int64(d.rng.IntN(1000))}
	}
	return c
}

// giveUp ends a client's waiting. Many ask at once again, elsewhere.
func (d *drawer) giveUp() choice {
	c := choice{kind: kGiveUp, op: d.recent()}
	if d.oneIn(3) {
		c.mode = unaware
	}
	if !d.oneIn(3) {
		d.follow(d.repeat(c.op))
	}
	return c
}

// shortOf draws a command that its account does not cover, and a top-up that does.
func (d *drawer) shortOf() (short, cover spec) {
	short = d.spec([]verb{vWithdraw, vTransfer, vPay, vHold}[d.rng.IntN(4)])
	a := &d.w.audit.accounts[short.acct]
	short.amount, short.version = max(0, a.balance.balance-a.held-a.min)+1+int64(d.rng.IntN(200)), none
	cover = d.spec(vTopUp)
	cover.acct, cover.currency, cover.amount, cover.version = short.acct, short.currency, 400, none
	return short, cover
}

func (d *drawer) follow(c ...choice) { d.follows = append(d.follows, c...) }

// works draws up to so many doings of a partition's owner.
func (d *drawer) works(most int, node int8, part int32) {
	for range d.rng.IntN(most) {
		c := choice{kind: []kind{kDecide, kDecide, kSend, kAnswer}[d.rng.IntN(4)], node: node, part: part, n: 1 + int64(d.rng.IntN(3))}
		if c.kind == kDecide && d.oneIn(2) {
			c.mode = late
		}
		d.follow(c)
	}
}

// rivals draws attempts at one command that is likely refused at first, at two nodes, the first of them given up, and then what
// lets it be carried out.
func (d *drawer) rivals() choice {
	short, cover := d.shortOf()
	part := homes[short.acct]
	owner, first, second := d.w.assigned[part], d.node(), d.node()
	if d.oneIn(2) {
		second = owner
	}
	gone := choice{kind: kGiveUp, op: short.op}
	if d.oneIn(2) {
		gone.mode = unaware
	}
	d.follow(choice{kind: kPost, node: first, part: part})
	d.works(3, owner, part)
	d.follow(gone, choice{kind: kRetry, op: short.op, node: second}, choice{kind: kPost, node: second, part: part})
	d.works(4, owner, part)
	d.follow(choice{kind: kSubmit, node: owner, specs: []spec{cover}})
	d.works(4, owner, part)
	return choice{kind: kSubmit, node: first, specs: []spec{short}}
}

// replaced draws an owner that does not hear of its successor, and one who asks the former one for what the latter has done.
func (d *drawer) replaced() choice {
	short, cover := d.shortOf()
	part := homes[short.acct]
	old, next, other := d.w.assigned[part], d.node(), d.node()
	for range 3 {
		d.follow(choice{kind: kRead, node: next, part: part, n: s64})
	}
	d.follow(choice{kind: kSubmit, node: next, specs: []spec{cover}}, choice{kind: kSubmit, node: next, specs: []spec{short}})
	d.settles(next, part)
	d.settles(next, part)
	d.follow(choice{kind: kRetry, op: short.op, node: other}, choice{kind: kPost, node: other, part: part})
	for range 3 {
		d.follow(choice{kind: kDecide, node: old, part: part, n: queueLength})
	}
	d.follow(choice{kind: kReply, node: old}, choice{kind: kHear, node: other, n: s64})
	return choice{kind: kAssign, node: next, part: part, mode: unaware}
}

// settles draws an owner's deciding and writing of what waits.
func (d *drawer) settles(node int8, part int32) {
	for _, k := range []kind{kDecide, kSend, kAnswer} {
		d.follow(choice{kind: k, node: node, part: part, n: queueLength})
	}
}

// unseen draws an atomic group about a hold that was just placed, and one who repeats it at a node that may not have read of the
// hold yet.
func (d *drawer) unseen() choice {
	held, void, more := d.spec(vHold), d.spec(vVoid), d.spec(vTopUp)
	part := homes[held.acct]
	owner := d.w.assigned[part]
	held.amount, held.expires, held.version = 1, 0, none
	void.ref, void.version = held.op, none
	more.amount, more.version = 1, none
	for _, s := range []*spec{&void, &more} {
		s.acct, s.currency = held.acct, held.currency
	}
	d.settles(owner, part)
	d.follow(choice{kind: kSubmit, node: owner, specs: []spec{void, more}})
	d.settles(owner, part)
	d.follow(choice{kind: kRetry, op: void.op, node: d.node(), mode: together})
	return choice{kind: kSubmit, node: owner, specs: []spec{held}}
}
