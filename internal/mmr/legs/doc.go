// Package legs holds what one leg of a meeting knows of the whole: its own
// participants, those of the legs on other routers, what was said, and the
// settings of the meeting. It makes one picture of them, which all legs
// arrive at by themselves once they can reach each other.
//
// It is a state machine without clock, network or goroutines. In go the
// meeting's own changes (Put, Drop, Say, Set) and what the bus brings (Hear,
// HearChat, Asked), each with the time; out come messages (Poll) and what is
// new for the meeting (TakePeople, TakeChat, TakeSettings). Package meeting
// owns a State and is its only caller.
//
// How it converges:
//
//   - People: each leg owns its own and numbers its changes. Who finds a gap,
//     another digest, or a leg it does not know, asks, and gets the whole. A
//     digest is made of ids and revisions, so that it does not depend on how
//     a person is encoded.
//   - A participant who has sessions on several legs is shown as the latest
//     established one, by a rule that needs nobody's agreement.
//   - Chat is the latest MaxChat of a growing set, settings are last-writer-wins
//     by a logical clock: both merge in any order.
//
// Cost: a change costs its own size, a quiet second one small message. Limits:
// maxLegs, maxPeople, maxSettings, MaxChat.
package legs
