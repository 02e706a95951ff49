package main

import (
	"math"
	"math/rand/v2"
)

// scramble maps 64 bits to 64 bits so that neighbours have nothing in common (the finalizer of SplitMix64, Steele, Lea and Flood 2014).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// What chance decides, each with numbers of its own, so that an assumption about one leaves the others as they were.
const (
	chanceContacts uint64 = iota + 1
	chanceNeighbours
	chancePairs
	chanceFriends
	chanceDays
	chanceChats
	chanceOccupants
	chanceRooms
	chanceSample
	chanceOthers
)

// A source is randomness that depends on seed, subject and number alone: whatever is asked about a user a second time, in another
// order or by another goroutine, has the same answer.
type source struct {
	pcg rand.PCG
	*rand.Rand
}

func newSource() *source {
	s := new(source)
	s.Rand = rand.New(&s.pcg)
	return s
}

// about starts the numbers of one subject.
func (s *source) about(seed, subject, number uint64) *source {
	key := hash(seed, subject, number)
	s.pcg.Seed(key, scramble(key))
	return s
}

func hash(seed, subject, number uint64) uint64 {
	return scramble(scramble(seed^subject<<56) ^ number)
}

// fraction makes a number from 0 to 1, without 1, of a hash.
func fraction(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// round returns one of the two integers next to x, such that the mean is x.
func (s *source) round(x float64) int { return int(x + s.Float64()) }

// lognormal returns a number of a lognormal distribution with this mean, of whose logarithm sigma is the standard deviation.
func (s *source) lognormal(mean, sigma float64) float64 {
	if sigma == 0 {
		return mean
	}
	return mean * math.Exp(sigma*s.NormFloat64()-sigma*sigma/2)
}
