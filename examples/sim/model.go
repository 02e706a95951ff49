package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"time"
)

// A Model is what is assumed of a federation.
type Model struct {
	Users int
	Seed  uint64

	Servers       int
	Zipf          float64
	Contacts      float64
	Spread        float64
	MaxContacts   int
	Home          float64
	Neighbourhood int
	Near          float64

	Clients float64
	Logons  float64
	Session time.Duration
	Changes float64

	Chats     float64
	ChatBytes float64

	Rooms      float64
	Occupants  float64
	RoomSpread float64
	Talk       float64
	History    int

	NameBytes     int
	ResourceBytes int
	StatusBytes   int
	Caps          bool

	Audiences int
	Members   int
	Sessions  bool
	Framing   framing

	Sample int
}

// flags declares the assumptions, with what is assumed by default. This is the table that the program prints.
func (m *Model) flags(f *flag.FlagSet) {
	f.Uint64Var(&m.Seed, "seed", 1, "of all that is left to chance")
	f.IntVar(&m.Servers, "servers", 0, "`number` of servers; 0: the square root of the users, at least 2")
	f.Float64Var(&m.Zipf, "zipf", 1, "`exponent` of the sizes of servers: the k-th largest has k^-zipf of the users of the largest")
	f.Float64Var(&m.Contacts, "contacts", 30, "mean `number` of contacts of a user, subscribed both ways; who is drawn twice counts once")
	f.Float64Var(&m.Spread, "spread", 1, "of contacts: standard `deviation` of the logarithm (lognormal; 0: all have the mean)")
	f.IntVar(&m.MaxContacts, "max-contacts", 2000, "largest `number` of contacts")
	f.Float64Var(&m.Home, "home", 0.5, "`share` of contacts on the user's own server")
	f.IntVar(&m.Neighbourhood, "neighbourhood", 10, "`servers`, of all sizes, whose users have much to do with each other")
	f.Float64Var(&m.Near, "near", 0.6, "`share` of the contacts on other servers that are in the neighbourhood, as far as the servers there are large enough; the rest is anywhere else")
	f.Float64Var(&m.Clients, "clients", 1.3, "mean `number` of clients (resources) of a user, from 1 to 2")
	f.Float64Var(&m.Logons, "logons", 2, "`times` a day that each client logs on")
	f.DurationVar(&m.Session, "session", 4*time.Hour, "mean `time` that a client stays, at most 16h")
	f.Float64Var(&m.Changes, "changes", 3, "`times` an hour that a client which is logged on changes its presence")
	f.Float64Var(&m.Chats, "chats", 20, "messages that a user sends to contacts a `day`, each with a chat state before and a receipt after it")
	f.Float64Var(&m.ChatBytes, "chat-bytes", 60, "mean `length` of a message's text, in rooms too")
	f.Float64Var(&m.Rooms, "rooms", 0.05, "`rooms` for each user")
	f.Float64Var(&m.Occupants, "occupants", 20, "mean `number` of users who enter a room when they log on; they live where contacts do")
	f.Float64Var(&m.RoomSpread, "room-spread", 0.8, "of occupants: standard `deviation` of the logarithm")
	f.Float64Var(&m.Talk, "talk", 100, "messages in a room a `day`")
	f.IntVar(&m.History, "history", 10, "`messages` that a room sends to who enters it")
	f.IntVar(&m.NameBytes, "name-bytes", 7, "`length` of the local part of an address; that of a domain is 13, of a room's 19")
	f.IntVar(&m.ResourceBytes, "resource-bytes", 8, "`length` of a resource")
	f.IntVar(&m.StatusBytes, "status-bytes", 10, "`length` of the text of a presence")
	f.BoolVar(&m.Caps, "caps", true, "presence tells what the client can do (XEP-0115)")
	f.IntVar(&m.Audiences, "audiences", 16_384, "`audiences` that fan-out remembers on one link (transcode.AudienceLimits)")
	f.IntVar(&m.Members, "members", 200_000, "`members` of all audiences of one link together")
	f.BoolVar(&m.Sessions, "sessions", true, "packets of PSYC are acknowledged (psyc.Sessions); between Prosody and ejabberd nothing is")
	f.TextVar(&m.Framing, "framing", frameNone, "what counts beside stanzas and packets: none, tls (records) or tcp (records and headers of IPv4 and TCP)")
	f.IntVar(&m.Sample, "sample", 4000, "`users` whose day is simulated, with as large a part of the rooms; all, if there are no more")
}

// newModel returns the default assumptions about a number of users.
func newModel(users int) *Model {
	m := &Model{}
	m.flags(flag.NewFlagSet("", flag.ContinueOnError))
	m.Users = users
	return m
}

// ofSize returns the model for a number of users.
func (m *Model) ofSize(users int) *Model {
	sized := *m
	sized.Users = users
	if sized.Servers == 0 {
		sized.Servers = max(int(math.Sqrt(float64(users))), 2)
	}
	return &sized
}

// What the tables can hold: servers by servers, and ends of friendships as 32-bit numbers.
const (
	maxServers     = 8192
	maxFriendships = math.MaxUint32 / 2
	maxNameBytes   = 32
)

// check says what is wrong with a model of a given size.
func (m *Model) check() error {
	switch {
	case m.Users < m.Servers || m.Servers < 2 || m.Servers > maxServers:
		return fmt.Errorf("%d users on %d servers: there are at least 2 servers, at most %d, and on each at least one user", m.Users, m.Servers, maxServers)
	case float64(m.Users)*m.Contacts > maxFriendships:
		return fmt.Errorf("%d users with %v contacts: together at most %d", m.Users, m.Contacts, maxFriendships)
	case m.MaxContacts < 1 || m.MaxContacts > math.MaxUint16:
		return fmt.Errorf("-max-contacts is from 1 to %d", math.MaxUint16)
	case min(m.Home, m.Near) < 0 || max(m.Home, m.Near) > 1:
		return errors.New("-home and -near are shares, from 0 to 1")
	case m.Clients < 1 || m.Clients > 2:
		return errors.New("-clients is from 1 to 2")
	case m.Session <= 0 || m.Session > 16*time.Hour:
		return errors.New("-session is above 0 and at most 16h")
	case min(m.Zipf, m.Contacts, m.Spread, m.Logons, m.Changes, m.Chats, m.ChatBytes, m.Rooms, m.Occupants, m.RoomSpread, m.Talk) < 0:
		return errors.New("nothing is negative")
	case min(m.History, m.StatusBytes) < 0 || min(m.Sample, m.Neighbourhood, m.Audiences, m.Members, m.ResourceBytes) < 1:
		return errors.New("-sample, -neighbourhood, -audiences, -members and -resource-bytes are at least 1, nothing is negative")
	case m.NameBytes < len(number36(uint64(m.Users)))+1 || max(m.NameBytes, m.ResourceBytes) > maxNameBytes:
		return fmt.Errorf("-name-bytes and -resource-bytes are at most %d, and names of %d users do not fit into less than %d", maxNameBytes, m.Users, len(number36(uint64(m.Users)))+1)
	}
	return nil
}
