// Package meeting is one meeting on a router: who is in it, what is said, who
// may do what, and which source goes into whose slot.
//
// One goroutine, Meeting.Run, owns all of that. Others send it typed
// messages: admissions (Admit), control channels (Attach), what clients say
// (through the control.Session that Attach returns) and commands (Command).
// What this leg and the other legs of the meeting make up together is worked
// out by package legs; what it has to tell them leaves through Config.Publish,
// and what they tell comes by Hear, HearChat, Asked and Do. Their sources come
// from package relay, and are put into slots like those of participants here.
// A participant may have two sessions for a moment, here or on two legs: see
// takeover.go.
//
// The packet path wakes it when something there has changed, and it looks
// what. It never waits for a client: what it tells clients is queued, bounded,
// by package control; and it never waits for packets: slots are filled with
// forward.Router.Assign.
//
// The meeting's state changes while a message is handled; then settle works
// out, in one place, what follows for slots, roster and speakers, and tells
// only what changed.
//
// Limits: those of package legs; MaxChatKept messages are kept, queueLength messages wait for the
// meeting (who sends more waits). The caller bounds participants.
package meeting
