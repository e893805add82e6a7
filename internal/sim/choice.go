package sim

import (
	"fmt"
	"strings"
)

// kind is what the scheduler chose to happen next.
type kind uint8

const (
	// Clients.
	kSubmit kind = iota // new commands, an atomic group when there are several
	kRetry              // an earlier command again, with its key; in an atomic group with new commands, when there are any
	kGiveUp             // a caller stops waiting
	// Owners.
	kTick   // a healthy moment: all that waits in a partition is done
	kDecide // an owner decides a batch
	kSend   // a batch reaches the log, or meets a fault on the way
	kAnswer // the log's answer reaches the owner, or is lost
	kRead   // a node reads on, rules its line, takes over
	kCoord  // a coordinator does one thing
	// Between nodes.
	kPost  // a node sends what a partition's owner is to do
	kReply // a node sends its answers to others
	kHear  // a node reads the answers of others
	// Faults.
	kStraggler // what an earlier writer sent arrives late
	kMail      // parcels arrive late
	kTwice     // what stands in a command topic arrives again
	kAssign
	kCrash
	kStart
	kRenew // an owner plants its fence again
	kFlush // a node's state reaches its disk
	kClock
	kSkew
	// Readers.
	kProject
	kRebuild
	kListen
	kMove // a subscriber connects to another node

	kinds = iota
)

// mode says how a choice goes wrong; zero is that it does not.
type mode uint8

const (
	well       mode = iota
	requestOff      // it never arrives, and the sender is told of an error
	late            // as requestOff, but it is still on its way
	double          // it arrives twice
	unordered       // the batch behind it arrives first
	answerOff       // it arrives, the answer does not
	crashed         // broken off before it is complete
	unaware         // whoever it concerns does not notice
	apart           // commands sent together are carried out each by itself
	together        // what was sent in one group is repeated in one
)

var modeNames = [...]string{"", "lost on the way", "delayed", "sent twice", "overtaken by the next", "answer lost", "broken off", "unnoticed", "", ""}

// choice is one step of a history. A history is no more than its choices: they are drawn from the seed once, and a
// run of the same choices, or of some of them, needs no chance any more.
type choice struct {
	kind  kind
	node  int8
	part  int32
	mode  mode
	op    int32
	n     int64
	specs []spec
}

func (c *choice) String() string {
	at := fmt.Sprintf("node %d, partition %d", c.node, c.part)
	fault := ""
	if c.mode != well {
		fault = ": " + modeNames[c.mode]
	}
	switch c.kind {
	case kSubmit:
		text := specsText(c.specs)
		if len(c.specs) > 1 && c.mode != apart {
			text = "all or none: " + text
		}
		return fmt.Sprintf("client asks node %d: %s", c.node, text)
	case kRetry:
		text := fmt.Sprintf("client repeats #%d at node %d", c.op, c.node)
		switch {
		case c.mode == together:
			text += " with all of its group"
		case len(c.specs) > 0:
			text += ", all or none with " + specsText(c.specs)
		}
		return text
	case kGiveUp:
		return fmt.Sprintf("client waits no more for #%d%s", c.op, fault)
	case kTick:
		return fmt.Sprintf("partition %d does all that waits", c.part)
	case kDecide:
		if c.mode == late {
			fault = " before it reads the command topic on"
		}
		return fmt.Sprintf("%s: owner decides up to %d commands%s", at, c.n, fault)
	case kSend:
		return at + ": a batch is sent" + fault
	case kAnswer:
		return at + ": the log answers" + fault
	case kRead:
		return fmt.Sprintf("%s: reads on%s", at, fault)
	case kCoord:
		return at + ": coordinator works" + fault
	case kStraggler:
		return fmt.Sprintf("partition %d: an old batch arrives", c.part)
	case kTwice:
		return fmt.Sprintf("partition %d: entry %d of the command topic arrives again", c.part, c.n)
	case kPost:
		return at + ": parcels are sent" + fault
	case kReply:
		return fmt.Sprintf("node %d: answers to parcels are sent%s", c.node, fault)
	case kHear:
		return fmt.Sprintf("node %d reads up to %d answers to parcels", c.node, c.n)
	case kMail:
		return fmt.Sprintf("partition %d: late parcels arrive", c.part)
	case kAssign:
		return at + ": assigned" + fault
	case kCrash:
		return fmt.Sprintf("node %d crashes", c.node)
	case kStart:
		return fmt.Sprintf("node %d starts", c.node)
	case kRenew:
		return at + ": fence renewed"
	case kFlush:
		return at + ": state flushed"
	case kClock:
		return fmt.Sprintf("%d ms pass", c.n)
	case kSkew:
		return fmt.Sprintf("node %d: clock set to %+d ms", c.node, c.n)
	case kProject:
		return fmt.Sprintf("partition %d: up to %d events are projected%s", c.part, c.n, fault)
	case kRebuild:
		return fmt.Sprintf("partition %d: rebuild reads up to %d events", c.part, c.n)
	case kListen:
		return fmt.Sprintf("subscriber %d reads up to %d events", c.op, c.n)
	case kMove:
		return fmt.Sprintf("subscriber %d connects to node %d", c.op, c.node)
	default:
		return "?"
	}
}

func specsText(specs []spec) string {
	parts := make([]string, len(specs))
	for i := range specs {
		parts[i] = specs[i].String()
	}
	return strings.Join(parts, "; ")
}
