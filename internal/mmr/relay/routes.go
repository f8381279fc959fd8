package relay

import (
	"slices"
	"time"

	"causeway/internal/mmr/cascade"
	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

const (
	// linger is how long media still come by a way that is no longer the one,
	// at least: those who are on it know the new one by then, and have taken
	// it. settled is how long all that is new must have been up for that.
	linger = 5 * time.Second
	// lingerGone is for how long a router that goes still passes on what others
	// publish.
	lingerGone = 2 * time.Second
	settled    = 2 * time.Second
	// maxFormer is how many former trees are remembered.
	maxFormer = 8
)

// routes are the ways on which media come and go: those of the present tree,
// and for a while those of former ones, so that what changes is made before it
// is broken.
type routes struct {
	self    name
	legs    []cascade.Leg // that present is made of
	present *cascade.Tree // nil at first
	former  []former
	up      time.Time // since when all neighbours in present are; zero if not
}

type former struct {
	tree  *cascade.Tree
	until time.Time
}

// trees are all that count.
func (r *routes) trees(yield func(*cascade.Tree) bool) {
	if r.present == nil || !yield(r.present) {
		return
	}
	for _, f := range r.former {
		if !yield(f.tree) {
			return
		}
	}
}

// near reports whether a router is a neighbour.
func (r *routes) near(n name) bool {
	for t := range r.trees {
		if t.Near(r.self, n) {
			return true
		}
	}
	return false
}

// by reports whether what the owner's leg publishes reaches a router by way of
// another one.
func (r *routes) by(at, way, owner name) bool {
	for t := range r.trees {
		if via, ok := t.Via(at, owner); ok && via == way {
			return true
		}
	}
	return false
}

// route works the ways out for the legs that there are. m.mu is held.
func (m *Mesh) route(now time.Time) {
	r := &m.routes
	legs := []cascade.Leg{{
		Name: r.self, Epoch: m.epoch, OnPremises: m.relays.cfg.OnPremises, Publishes: len(m.own) > 0, Silent: m.leaving,
	}}
	for _, l := range m.legs {
		if l.gone {
			continue
		}
		legs = append(legs, cascade.Leg{
			Name: l.name, Epoch: l.epoch, OnPremises: l.onPremises, Publishes: len(l.sources) > 0, Silent: l.silent,
		})
	}
	slices.SortFunc(legs, func(a, b cascade.Leg) int {
		if less(a.Name, b.Name) {
			return -1
		}
		return 1
	})
	if !slices.Equal(legs, r.legs) {
		if r.present != nil {
			r.former = append(r.former, former{r.present, now.Add(linger)})
			r.former = r.former[max(0, len(r.former)-maxFormer):]
		}
		r.legs, r.present, r.up = legs, cascade.New(legs), time.Time{}
		m.pulse.route(r.present)
	}
	for _, l := range m.legs {
		via, _ := r.present.Via(r.self, l.name)
		if next := m.legs[via]; next != nil {
			for _, s := range l.sources {
				s.ComeBy(next.near)
			}
		}
	}
}

// settle forgets the former ways once the present ones have taken over. m.mu
// is held.
func (m *Mesh) settle(now time.Time) {
	r := &m.routes
	if len(r.former) == 0 {
		return
	}
	up := true
	for _, l := range m.legs {
		up = up && (!r.present.Near(r.self, l.name) || l.up())
	}
	switch {
	case !up:
		r.up = time.Time{}
	case r.up.IsZero():
		r.up = now
	}
	before := len(r.former)
	r.former = slices.DeleteFunc(r.former, func(f former) bool {
		return now.After(f.until) && (up && now.Sub(r.up) >= settled || !m.serves(f.tree))
	})
	m.stale = m.stale || len(r.former) < before
}

// passes reports whether a leg that is over passes on what others publish.
// m.mu is held.
func (m *Mesh) passes(l *leg) bool {
	for _, o := range m.legs {
		if o != l && !o.gone && m.routes.by(m.routes.self, l.name, o.name) {
			return true
		}
	}
	return false
}

// serves reports whether a former tree still has neighbours that the present
// one does without. m.mu is held.
func (m *Mesh) serves(t *cascade.Tree) bool {
	for _, l := range m.legs {
		if t.Near(m.routes.self, l.name) && !m.routes.present.Near(m.routes.self, l.name) && l.up() {
			return true
		}
	}
	return false
}

// up reports whether the leg's router is heard.
func (l *leg) up() bool {
	for i := range l.sides {
		if c := l.sides[i].conn; c != nil && c.heard.Load() {
			return true
		}
	}
	return false
}

// part ends the connections with a leg. m.mu is held.
func (m *Mesh) part(l *leg) {
	for i := range l.sides {
		m.hangUp(&l.sides[i])
	}
	if l.loud != nil {
		l.loud.Close()
		l.loud = nil
	}
}

// plan tells the connections what there is to carry, if that has changed, and
// returns those that may do so at once. m.mu is held.
func (m *Mesh) plan() (settle []*connection) {
	for _, l := range m.legs {
		var own, far []*forward.Source
		var loud []*forward.Source
		for i, kind := range protocol.MediaKinds {
			c := l.sides[i].conn
			if c == nil {
				continue
			}
			fresh := m.stale || c.plan == nil
			if fresh && own == nil && far == nil {
				own, far = m.carried(l)
			}
			if l.loud == nil {
				l.loud = m.loudest.Select(m.poke)
			}
			if fresh && kind == protocol.Audio {
				l.loud.Among(own)
			}
			if loud == nil {
				loud = l.loud.Sources()
			}
			switch {
			case fresh:
				c.plan = &forward.Plan{Own: ofKind(kind, own), Far: ofKind(kind, far), Loud: loud, Listen: kind == protocol.Audio}
			case slices.Equal(loud, c.plan.Loud):
				continue
			default:
				p := *c.plan
				p.Loud = loud
				c.plan = &p
			}
			c.trunk.Carry(c.plan)
			if c.up.Load() {
				settle = append(settle, c)
			}
		}
	}
	m.stale = false
	return settle
}

// carried lists what a leg gets from here, and what it brings. m.mu is held.
func (m *Mesh) carried(l *leg) (own, far []*forward.Source) {
	self := m.routes.self
	if m.routes.by(l.name, self, self) {
		own = append(own, m.own...)
	}
	for _, o := range m.legs {
		brings, gets := m.routes.by(self, l.name, o.name), o != l && m.routes.by(l.name, self, o.name)
		for _, s := range o.sources {
			if brings {
				far = append(far, s)
			}
			if gets {
				own = append(own, s)
			}
		}
	}
	return own, far
}
