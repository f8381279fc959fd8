//go:build !unix

package load

// maxOpenFiles is how many files the system lets this process open; 0: it
// does not say.
func maxOpenFiles() int { return 0 }
