package bus

import (
	"fmt"
	"log/slog"
	"strings"
)

// serverLog puts nats-server's log into slog: what it reports of its own
// doing at debug level, what went wrong as warnings.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // holds the first fatal message
}

func (l *serverLog) Noticef(format string, v ...any) { l.Debugf(format, v...) }

func (l *serverLog) Debugf(format string, v ...any) { l.log.Debug(text(format, v)) }

func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Plaintext passwords") {
		return // it came from memory, not from a file
	}
	l.warn(text(format, v))
}

func (l *serverLog) Errorf(format string, v ...any) { l.warn(text(format, v)) }

// warn tells what went wrong, but for what belongs to an ordinary day: a
// connection that ends, as the second of two between the same servers does,
// and the address that servers of a cluster tell each other to no purpose.
func (l *serverLog) warn(text string) {
	if strings.Contains(text, "Error flushing") || strings.Contains(text, nowhere) {
		l.log.Debug(text)
		return
	}
	l.log.Warn(text)
}

func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}

func text(format string, v []any) string {
	return "bus: " + fmt.Sprintf(format, v...)
}
