package peer

import (
	"net/netip"

	"github.com/pion/stun/v3"
)

// A transaction is a STUN transaction id.
type transaction = [stun.TransactionIDSize]byte

// A binding is a decoded STUN binding request or response. It and its fields
// are reused from packet to packet, so that consent costs no allocation; they
// alias the packet.
type binding struct {
	message      stun.Message
	id           transaction
	class        stun.MessageClass
	username     []byte
	useCandidate bool
	controlled   bool // the remote claims the controlled role
	errorCode    bool
	tally        []byte // nil if there is none
}

// decode reads a binding message that ends in MESSAGE-INTEGRITY and a right
// FINGERPRINT (RFC 8445 section 7.1, RFC 8489 section 14.7), and tells
// whether it is one. It does not check the integrity.
func (b *binding) decode(packet []byte) bool {
	m := &b.message
	m.Raw = packet
	if m.Decode() != nil || int(m.Length)+stunHeaderSize != len(packet) {
		return false
	}
	if m.Type.Method != stun.MethodBinding || !b.attributes() {
		return false
	}
	b.id, b.class = m.TransactionID, m.Type.Class
	return stun.Fingerprint.Check(m) == nil
}

// attributes takes what stands before MESSAGE-INTEGRITY, as only that is
// authenticated, and demands that FINGERPRINT alone follows it.
func (b *binding) attributes() bool {
	b.username, b.tally, b.useCandidate, b.controlled, b.errorCode = nil, nil, false, false, false
	all := b.message.Attributes
	for i, a := range all {
		switch a.Type {
		case stun.AttrUsername:
			b.username = a.Value
		case stun.AttrUseCandidate:
			b.useCandidate = true
		case stun.AttrICEControlled:
			b.controlled = true
		case stun.AttrErrorCode:
			b.errorCode = true
		case attrTally:
			b.tally = a.Value
		case stun.AttrMessageIntegrity:
			return i == len(all)-2 && all[i+1].Type == stun.AttrFingerprint
		}
	}
	return false
}

// authentic checks MESSAGE-INTEGRITY with a short-term password.
func (b *binding) authentic(pwd []byte) bool {
	return stun.MessageIntegrity(pwd).Check(&b.message) == nil
}

// localUfrag returns the first half of the USERNAME of a request to us, which
// is "local:remote" (RFC 8445 section 7.2.2), and nil if there is none.
func (b *binding) localUfrag() []byte {
	for i, c := range b.username {
		if c == ':' {
			return b.username[:i]
		}
	}
	return nil
}

// A bindingWriter builds binding messages in buffers that it is given.
type bindingWriter struct {
	message stun.Message
}

func (w *bindingWriter) begin(buf []byte, kind stun.MessageType, id transaction) *stun.Message {
	m := &w.message
	m.Raw, m.Length, m.Attributes = buf[:0], 0, m.Attributes[:0]
	m.Type, m.TransactionID = kind, id
	m.WriteHeader()
	return m
}

// finish appends MESSAGE-INTEGRITY and FINGERPRINT and returns the message's
// length, 0 if it cannot be built.
func (w *bindingWriter) finish(pwd []byte) int {
	m := &w.message
	if stun.MessageIntegrity(pwd).AddTo(m) != nil || stun.Fingerprint.AddTo(m) != nil {
		return 0
	}
	return len(m.Raw)
}

// success writes a response that tells the requester its address, and what was
// counted, unless that is nil.
func (w *bindingWriter) success(buf []byte, id transaction, seen netip.AddrPort, counted *tally, pwd []byte) int {
	m := w.begin(buf, stun.BindingSuccess, id)
	var ip [16]byte
	addr := stun.XORMappedAddress{Port: int(seen.Port())}
	if seen.Addr().Is4() {
		v4 := seen.Addr().As4()
		addr.IP = append(ip[:0], v4[:]...)
	} else {
		ip = seen.Addr().As16()
		addr.IP = ip[:]
	}
	if addr.AddTo(m) != nil {
		return 0
	}
	if counted != nil {
		var b [tallySize]byte
		m.Add(attrTally, counted.put(b[:0]))
	}
	return w.finish(pwd)
}

// roleConflict writes the error response to a requester that claims our own
// role (RFC 8445 section 7.3.1.1). A lite agent never changes roles.
func (w *bindingWriter) roleConflict(buf []byte, id transaction, pwd []byte) int {
	m := w.begin(buf, stun.BindingError, id)
	if (stun.ErrorCodeAttribute{Code: stun.CodeRoleConflict, Reason: []byte("Role Conflict")}).AddTo(m) != nil {
		return 0
	}
	return w.finish(pwd)
}

// hostPriority is that of a host candidate's peer-reflexive counterpart:
// type preference 110, local preference 65535, component 1 (RFC 8445
// section 5.1.2.1).
const hostPriority = 110<<24 | 65535<<8 | 255

// inquiry writes a connectivity check of a controlled agent. The number that
// decides between two of one role (RFC 8445 section 7.3.1.1) is any: ours does
// not change its role.
func (w *bindingWriter) inquiry(buf []byte, id transaction, username, pwd []byte) int {
	m := w.request(buf, id, username)
	m.Add(stun.AttrICEControlled, id[:8])
	return w.finish(pwd)
}

// check writes a connectivity check of a controlling agent (RFC 8445 section
// 7.1), which may nominate what it checks, and asks for a tally.
func (w *bindingWriter) check(buf []byte, id transaction, username, pwd []byte, tieBreaker uint64, nominate bool) int {
	m := w.request(buf, id, username)
	m.Add(stun.AttrICEControlling, be64(tieBreaker))
	if nominate {
		m.Add(stun.AttrUseCandidate, nil)
	}
	m.Add(attrTally, nil)
	return w.finish(pwd)
}

func (w *bindingWriter) request(buf []byte, id transaction, username []byte) *stun.Message {
	m := w.begin(buf, stun.BindingRequest, id)
	m.Add(stun.AttrUsername, username)
	m.Add(stun.AttrPriority, be32(hostPriority))
	return m
}

func be32(v uint32) []byte {
	return []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

func be64(v uint64) []byte {
	return append(be32(uint32(v>>32)), be32(uint32(v))...)
}
