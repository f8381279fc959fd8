//go:build race

package peer

// Under the race detector sync.Pool forgets at random, and with it pion/stun's
// HMAC states.
const raceDetector = true
