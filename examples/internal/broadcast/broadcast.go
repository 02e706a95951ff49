// Package broadcast is a broadcast of presence (RFC 6121, section 4.4) whose cost was measured between two gateways in front of real servers:
// who says what to how many contacts, and how many bytes that was. A test of the gateway measures it and the simulator computes it, and
// both are held to the figures here.
//
// A user of one server has contacts at the other, who are a component of their own there. The user logs on, changes presence a few times,
// and logs off; then comes another one, with more contacts. The gateways have one circuit of PSYC for all that, without TLS, and
// nobody else speaks.
package broadcast

import "fmt"

// Sizes are how many contacts the users have, one after the other.
var Sizes = [...]int{1, 10, 100, 1000}

// A Measurement is what a change of presence takes from one server to the other.
type Measurement struct {
	From, To string // domains

	// Resource is the usual length of the resources that the server gives to clients that ask for none. ejabberd's are random numbers, of 20 to 24
	// digits.
	Resource int

	// Bytes is what went over TCP between the gateways for each of Sizes, both ways: the packet and its acknowledgement. It is for changes
	// after the first one, from away to dnd.
	Bytes [len(Sizes)]int
}

// Measurements are with Prosody 0.12 and ejabberd 23.01.
var Measurements = [...]Measurement{
	{"prosody.test", "ejabberd.test", 12, [...]int{151, 240, 242, 247}},
	{"ejabberd.test", "prosody.test", 23, [...]int{162, 251, 254, 259}},
}

// Agree reports whether a number of bytes is a measured one within 5 %. The names of users and resources, and the counters of packets and casts,
// have more or fewer digits from one run to the next.
func Agree(bytes, measured int) bool { return 20*max(bytes-measured, measured-bytes) <= measured }

// People is what stands in front of a domain in that of the contacts.
const People = "people."

// User returns the local part of the n-th user's address.
func User(n int) string { return fmt.Sprintf("ann%d", n) }

// Contact returns the address of the n-th contact at a domain.
func Contact(n int, domain string) string { return fmt.Sprintf("c%d@%s%s", n, People, domain) }

// Hello is the status with which a user logs on.
const Hello = "hello"

// Change returns show and status of the n-th change of somebody with so many contacts.
func Change(contacts, n int) (show, status string) {
	return []string{"dnd", "away"}[n%2], fmt.Sprintf("brb %d %d", contacts, n)
}

// Presence returns the children of a presence. Without show there is no such element.
func Presence(show, status string) string {
	children := "<status>" + status + "</status>"
	if show != "" {
		children = "<show>" + show + "</show>" + children
	}
	return children
}
