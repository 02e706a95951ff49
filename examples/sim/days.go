package main

import "time"

// day is how long everything is simulated. It is a circle: who stays beyond its end is there at its beginning.
const day = 24 * time.Hour

// A session is a client that is logged on.
type session struct {
	client  int
	start   time.Duration // in the day
	length  time.Duration
	changes []time.Duration // of presence, in the day
}

// end returns when the client logs off, in the day.
func (s *session) end() time.Duration { return (s.start + s.length) % day }

// covers reports whether the client is logged on at a time of the day.
func (s *session) covers(at time.Duration) bool { return (at-s.start+day)%day < s.length }

// sessions returns the day of a user.
func (m *Model) sessions(r *source, user uint32) []session {
	r.about(m.Seed, chanceDays, uint64(user))
	var all []session
	for client := range r.round(m.Clients) {
		for range r.round(m.Logons) {
			s := session{
				client: client,
				start:  time.Duration(r.Float64() * float64(day)),
				length: time.Duration((0.5 + r.Float64()) * float64(m.Session)),
			}
			for range r.round(m.Changes * s.length.Hours()) {
				s.changes = append(s.changes, (s.start+time.Duration(r.Float64()*float64(s.length)))%day)
			}
			all = append(all, s)
		}
	}
	return all
}

// online returns which clients of a user are logged on at a time, each once.
func online(sessions []session, at time.Duration) (clients []int) {
	for i := range sessions {
		if s := &sessions[i]; s.covers(at) && (len(clients) == 0 || clients[len(clients)-1] != s.client) {
			clients = append(clients, s.client)
		}
	}
	return clients
}

// A chat is a message that a user sends to a contact.
type chat struct {
	at      time.Duration
	contact int // of all that the user has
	size    int // of the text
}

// The spread of the lengths of texts.
const textSpread = 0.8

// chats returns what a user with so many contacts says in a day.
func (m *Model) chats(r *source, user uint32, contacts int) []chat {
	if contacts == 0 {
		return nil
	}
	r.about(m.Seed, chanceChats, uint64(user))
	all := make([]chat, r.round(m.Chats))
	for i := range all {
		all[i] = chat{time.Duration(r.Float64() * float64(day)), r.IntN(contacts), m.text(r)}
	}
	return all
}

// text returns the length of something said.
func (m *Model) text(r *source) int {
	return min(max(r.round(r.lognormal(m.ChatBytes, textSpread)), 1), 4000)
}
