package peer

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// request builds a check with chosen contents. It is pion's encoder, not
// ours, so that the two are checked against each other.
func request(tb testing.TB, setters ...stun.Setter) []byte {
	tb.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.NewTransactionIDSetter(transaction{9}), stun.BindingRequest}, setters...)...)
	if err != nil {
		tb.Fatal(err)
	}
	return m.Raw
}

// flag adds an attribute without a value.
type flag stun.AttrType

func (f flag) AddTo(m *stun.Message) error {
	m.Add(stun.AttrType(f), nil)
	return nil
}

// controlled adds ICE-CONTROLLED.
type controlled struct{}

func (controlled) AddTo(m *stun.Message) error {
	m.Add(stun.AttrICEControlled, make([]byte, 8))
	return nil
}

// checkName is the USERNAME of the checks that a connection receives.
func checkName(c *Conn) string { return c.LocalUfrag() + ":" + c.remote.Load().Ufrag }

func TestChecks(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	remote := NewCredentials()
	stranger := netip.MustParseAddrPort("192.0.2.7:1234")
	for _, test := range []struct {
		name     string
		packet   func(c *Conn) []byte
		answered bool
		errors   bool // with an error response
		moved    bool // nominated
	}{
		{"right", func(c *Conn) []byte {
			return request(t, stun.NewUsername(checkName(c)), stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint)
		}, true, false, false},
		{"nominating", func(c *Conn) []byte {
			return request(t, stun.NewUsername(checkName(c)), flag(stun.AttrUseCandidate), stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint)
		}, true, false, true},
		{"nominating outside of the integrity", func(c *Conn) []byte {
			return request(t, stun.NewUsername(checkName(c)), stun.NewShortTermIntegrity(c.LocalPwd()), flag(stun.AttrUseCandidate), stun.Fingerprint)
		}, false, false, false},
		{"ours", checkFor, true, false, true},
		{"claims our role", func(c *Conn) []byte {
			return request(t, stun.NewUsername(checkName(c)), controlled{}, stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint)
		}, true, true, false},
		{"wrong password", func(c *Conn) []byte {
			return request(t, stun.NewUsername(checkName(c)), stun.NewShortTermIntegrity(remote.Pwd), stun.Fingerprint)
		}, false, false, false},
		{"unknown user", func(c *Conn) []byte {
			return request(t, stun.NewUsername("abcd:"+remote.Ufrag), stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint)
		}, false, false, false},
		{"another remote half, as after an ICE restart of theirs", func(c *Conn) []byte {
			return request(t, stun.NewUsername(c.LocalUfrag()+":abcd"), stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint)
		}, true, false, false},
		{"no colon", func(c *Conn) []byte {
			return request(t, stun.NewUsername(c.LocalUfrag()), stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint)
		}, false, false, false},
		{"no user", func(c *Conn) []byte {
			return request(t, stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint)
		}, false, false, false},
		{"no integrity", func(c *Conn) []byte {
			return request(t, stun.NewUsername(checkName(c)), stun.Fingerprint)
		}, false, false, false},
		{"no fingerprint", func(c *Conn) []byte {
			return request(t, stun.NewUsername(checkName(c)), stun.NewShortTermIntegrity(c.LocalPwd()))
		}, false, false, false},
		{"another method", func(c *Conn) []byte {
			return request(t, stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.NewUsername(checkName(c)), stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint)
		}, false, false, false},
		{"an indication", func(c *Conn) []byte {
			return request(t, stun.NewType(stun.MethodBinding, stun.ClassIndication), stun.NewUsername(checkName(c)), stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint)
		}, false, false, false},
		{"a response that nobody asked for", func(c *Conn) []byte {
			return request(t, stun.BindingSuccess, stun.NewShortTermIntegrity(remote.Pwd), stun.Fingerprint)
		}, false, false, false},
		{"trailing bytes", func(c *Conn) []byte { return append(checkFor(c), 0, 0, 0, 0) }, false, false, false},
		{"cut off", func(c *Conn) []byte { b := checkFor(c); return b[:len(b)-4] }, false, false, false},
		{"one bit flipped", func(c *Conn) []byte { b := checkFor(c); b[25] ^= 1; return b }, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := p.Accept(AcceptConfig{Remote: remote, RemoteFingerprint: p.Fingerprint(), Handler: quiet{}})
			must(t, err)
			defer c.Close()
			s := p.Shards()[0]
			s.mu.Lock()
			defer s.mu.Unlock()
			packet := test.packet(c)
			s.deliver(&datagram{data: bytes.Clone(packet), remote: stranger}, time.Now())
			defer s.out.reset()
			if answered := len(s.out.slots) == 1; answered != test.answered {
				t.Fatalf("answered: %v", answered)
			}
			if claimed := c.Shard() != nil; claimed != test.answered {
				t.Errorf("on a shard: %v", claimed)
			}
			if c.nominated != test.moved {
				t.Errorf("nominated: %v", c.nominated)
			}
			if test.answered {
				checkAnswer(t, s, c, stranger, test.errors)
			}
		})
	}
}

// checkAnswer reads the queued answer with pion's decoder.
func checkAnswer(t *testing.T, s *Shard, c *Conn, to netip.AddrPort, wantError bool) {
	t.Helper()
	if s.out.groups[0].to.remote != to {
		t.Errorf("answered to %v", s.out.groups[0].to.remote)
	}
	m := stun.New()
	must(t, stun.Decode(s.out.datagram(0), m))
	must(t, m.Check(stun.NewShortTermIntegrity(c.LocalPwd()), stun.Fingerprint))
	if m.TransactionID != (transaction{9}) && m.TransactionID != (transaction{1, 2, 3}) {
		t.Errorf("transaction %x", m.TransactionID)
	}
	if wantError {
		var code stun.ErrorCodeAttribute
		must(t, code.GetFrom(m))
		if code.Code != stun.CodeRoleConflict || m.Type != stun.BindingError {
			t.Errorf("%v with code %v", m.Type, code.Code)
		}
		return
	}
	var seen stun.XORMappedAddress
	must(t, seen.GetFrom(m))
	if m.Type != stun.BindingSuccess || seen.String() != to.String() {
		t.Errorf("%v tells address %v", m.Type, seen)
	}
}

func TestSuccessTellsIPv6Address(t *testing.T) {
	var w bindingWriter
	to := netip.MustParseAddrPort("[2001:db8::7]:4321")
	buf := make([]byte, slotSize)
	m := stun.New()
	must(t, stun.Decode(buf[:w.success(buf, transaction{5}, to, nil, []byte("password"))], m))
	var seen stun.XORMappedAddress
	must(t, seen.GetFrom(m))
	if seen.String() != to.String() {
		t.Errorf("tells %v", seen)
	}
}

// A nominating check moves the connection; an address that has left for
// another connection no longer delivers to the first.
func TestMoveAndReuseOfAddress(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	accept := func() *Conn {
		c, err := p.Accept(AcceptConfig{Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: quiet{}})
		must(t, err)
		return c
	}
	a, b := accept(), accept()
	s := p.Shards()[0]
	s.mu.Lock()
	defer s.release()
	address := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1000+i))
	}
	for i := range 2 * maxAddresses {
		s.deliver(&datagram{data: checkFor(a), remote: address(i)}, time.Now())
		if a.path.remote != address(i) || p.connAt(address(i)) != a {
			t.Fatalf("did not move to %v", address(i))
		}
	}
	if len(a.addresses) != maxAddresses || p.connAt(address(0)) != nil {
		t.Errorf("keeps %d addresses", len(a.addresses))
	}
	last := address(2*maxAddresses - 1)
	s.deliver(&datagram{data: checkFor(b), remote: last}, time.Now())
	if p.connAt(last) != b {
		t.Error("the later check did not win the address")
	}
	a.shut(nil, time.Now())
	if p.connAt(last) != b {
		t.Error("the first connection took the address with it")
	}
	b.shut(nil, time.Now())
	if len(p.byAddr)+len(p.byUfrag) != 0 {
		t.Error("closed connections leave something behind")
	}
	s.out.reset()
}

// FuzzBinding feeds the decoder: it must not panic, must agree with pion's
// checks, and what it calls authentic must be so.
func FuzzBinding(f *testing.F) {
	pwd := []byte("a password of ours 12345")
	var w bindingWriter
	buf := make([]byte, slotSize)
	f.Add(bytes.Clone(buf[:w.check(buf, transaction{1}, []byte("abcd:efgh"), pwd, 1, true)]))
	f.Add(bytes.Clone(buf[:w.success(buf, transaction{1}, netip.MustParseAddrPort("192.0.2.1:9"), &tally{1, 2}, pwd)]))
	f.Add(bytes.Clone(buf[:w.roleConflict(buf, transaction{1}, pwd)]))
	f.Add(make([]byte, 20))
	f.Fuzz(func(t *testing.T, packet []byte) {
		original := bytes.Clone(packet)
		var b binding
		if !b.decode(packet) {
			return
		}
		_ = b.localUfrag()
		ours := b.authentic(pwd)
		if !bytes.Equal(packet, original) {
			t.Error("changed the packet")
		}
		m := stun.New()
		if err := stun.Decode(original, m); err != nil {
			t.Fatalf("pion does not decode it: %v", err)
		}
		if theirs := m.Check(stun.MessageIntegrity(pwd), stun.Fingerprint) == nil; ours != theirs {
			t.Errorf("authentic: %v, pion says %v", ours, theirs)
		}
	})
}
