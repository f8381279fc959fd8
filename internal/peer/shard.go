package peer

// A Shard is a socket and the connections that live on it. One holder at a
// time may touch them: the shard's own goroutine while it delivers, or
// whoever is inside Run.
type Shard struct{}

// Run takes the shard, calls f, sends what f queued, and releases the shard.
// It is not reentrant: neither f nor a Handler may call it for any shard.
func (s *Shard) Run(f func()) {}

// Index returns the shard's place in Port.Shards; 0 for a dialled connection.
func (s *Shard) Index() int { return 0 }
