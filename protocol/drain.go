package protocol

// Draining a server: it takes nobody new, those present are moved or go, and
// then its process ends with status 0. A second request sets the deadline
// anew; Cancel takes the server back into service while it still runs.
//
//	zone.Z.mmr.M.drain          DrainRequest → DrainState   router M
//	zone.Z.controller.C.drain   DrainRequest → DrainState   controller C
//	tunnel.T.drain              DrainRequest → DrainState   tunnel T
//
// Progress is in the state that each of them repeats (Drain).

// SubjectDrainMMR is where a router is asked to drain.
func SubjectDrainMMR(zone, mmr string) string { return "zone." + zone + ".mmr." + mmr + ".drain" }

// SubjectDrainController is where a controller is asked to drain.
func SubjectDrainController(zone, controller string) string {
	return "zone." + zone + ".controller." + controller + ".drain"
}

// SubjectDrainTunnel is where a tunnel is asked to drain.
func SubjectDrainTunnel(tunnel string) string { return "tunnel." + tunnel + ".drain" }

// MaxDrainMS bounds the time that a drain may take: a day.
const MaxDrainMS = 24 * 60 * 60 * 1000

// DrainRequest asks a server to drain, or not to after all.
type DrainRequest struct {
	// DeadlineMS is how long from now those who are still there may stay, at
	// most MaxDrainMS; 0 takes what the server is configured with.
	DeadlineMS int64 `json:"deadline_ms,omitempty"`
	// Cancel ends a drain that has not ended yet.
	Cancel bool `json:"cancel,omitempty"`
	// By says who asks, for the log.
	By string `json:"by,omitempty"`
}

// DrainState is how far a drain has got; the answer to a DrainRequest.
type DrainState struct {
	// Draining is false after Cancel; then the rest is 0.
	Draining   bool  `json:"draining"`
	DeadlineMS int64 `json:"deadline_ms"` // time that is left
	// Left counts what is still there: a router's participants, a
	// controller's requests under way, a tunnel's streams.
	Left int `json:"left"`
}
