package main

import "math/bits"

// A permutation is a bijection of the numbers from 0 to n-1 that looks random and is not stored: a Feistel network over the
// next power of four, walked until it is back below n.
type permutation struct {
	n    uint64
	half uint // bits of one half
	keys [4]uint64
}

func newPermutation(n, key uint64) permutation {
	p := permutation{n: n, half: uint(bits.Len64(max(n, 2)-1)+1) / 2}
	for i := range p.keys {
		key = scramble(key)
		p.keys[i] = key
	}
	return p
}

// at returns the image of i, which is below n.
func (p *permutation) at(i uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		left, right := i>>p.half, i&mask
		for _, k := range p.keys {
			left, right = right, left^scramble(right^k)&mask
		}
		if i = left<<p.half | right; i < p.n {
			return i
		}
	}
}

// find returns the number whose image is j.
func (p *permutation) find(j uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		left, right := j>>p.half, j&mask
		for r := len(p.keys) - 1; r >= 0; r-- {
			left, right = right^scramble(left^p.keys[r])&mask, left
		}
		if j = left<<p.half | right; j < p.n {
			return j
		}
	}
}
