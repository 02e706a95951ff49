package rig

import "context"

// AddSubscribers puts bare addresses into the roster of a user who is not logged in, as contacts who see the user's presence: subscription
// "from", with nothing said to anybody. It is for a user whose roster is empty.
func (s *Server) AddSubscribers(t TB, user string, contacts []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.addSubscribers(ctx, user, contacts); err != nil {
		t.Fatalf("roster of %s@%s: %v", user, s.Domain, err)
	}
}
