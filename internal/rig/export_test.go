package rig

// What the external tests look at.
var (
	Program  = program
	NewInbox = newInbox
	Receive  = (*inbox).add
)
