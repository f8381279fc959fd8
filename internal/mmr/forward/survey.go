package forward

import (
	"slices"
	"time"

	"causeway/internal/media/offer"
	"causeway/protocol"
)

const (
	// surveyAfter is how long after a connection has come up it is surveyed:
	// the remote may take a while longer to be ready for what comes.
	surveyAfter = 200 * time.Millisecond
	// surveyFor is how long a survey may take, which bounds what it costs: on a
	// network that takes all, one probe of about 30 kB.
	surveyFor = 3 * time.Second
	// surveyRate is what is looked for: a picture of full size with room to spare.
	surveyRate = 3_500_000
)

// Survey has the participant's network looked at by padding, as soon as the
// connection of their pictures is up and while there is nothing to send yet:
// then what they see first is of the right size. It is to be called before
// there are links.
func (b *Budget) Survey() { b.survey = surveyRate }

// prepareSurvey has the link survey the network if that is wanted, and sees to
// it that one of its slots can carry padding. The shard is held.
func (l *Link) prepareSurvey(now time.Time) {
	if b := l.path.budget; b == nil || l.kind != protocol.Video || b.survey == 0 {
		return
	}
	// The last, which hardly anybody uses: to a browser what carries anything flows.
	for _, s := range slices.Backward(l.slots) {
		i := slices.IndexFunc(s.codecs, func(c offer.Codec) bool { return c.RTX != 0 })
		if i < 0 || s.cc == 0 || s.rtx == 0 {
			continue
		}
		s.codec = &s.codecs[i]
		s.sent = s.newOutgoing()
		l.survey.begins, l.survey.ends = now.Add(surveyAfter), now.Add(surveyFor)
		l.rouse()
		return
	}
}

// surveys goes on with the survey, and reports whether there is one. The shard
// is held.
func (l *Link) surveys(now time.Time) bool {
	if l.survey.ends.IsZero() {
		return false
	}
	if now.Before(l.survey.begins) {
		return true
	}
	b := l.path.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.estimate(now)
	if l.path.path == nil {
		l.path.path = e.NewPath()
		e.Want(b.survey)
		e.Ahead()
	}
	if now.Before(l.survey.ends) && !e.Settled() {
		return true
	}
	b.survey, l.survey.ends = 0, time.Time{}
	return false
}
