package storetest

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
)

// Server is a PostgreSQL server that starts when the first database is asked
// for. It may be used from any number of goroutines.
type Server struct {
	once   sync.Once
	err    error  // of starting
	dsn    string // of the database that is there from the start
	folder string
	stop   func() error
}

// Main makes a server for the tests, runs them, and stops it. It returns the
// exit status.
func Main(m *testing.M, s **Server) int {
	server := &Server{}
	*s = server
	status := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		return 1
	}
	return status
}

// launch starts a server, or takes that of CAUSEWAY_TEST_POSTGRES.
func (s *Server) launch() error {
	if s.dsn = os.Getenv("CAUSEWAY_TEST_POSTGRES"); s.dsn != "" {
		return nil
	}
	bin, err := binaries()
	if err != nil {
		return err
	}
	if s.folder, err = os.MkdirTemp("", "causeway-pg-"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	s.dsn = "postgres://causeway@/postgres?" + url.Values{"host": {s.folder}}.Encode()
	return s.start(bin)
}

// Stop ends the server, if it has started, and removes its folder.
func (s *Server) Stop() error {
	s.once.Do(func() { s.err = errors.New("the server has been stopped") })
	var err error
	if s.stop != nil {
		err = s.stop()
	}
	if s.folder != "" {
		err = errors.Join(err, os.RemoveAll(s.folder))
	}
	return err
}

// Database makes an empty database, dropped when the test ends, and returns
// its address.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.once.Do(func() { s.err = s.launch() })
	if s.err != nil {
		t.Fatal("storetest: ", s.err)
	}
	name := "causeway_test_" + strings.ToLower(rand.Text())
	if err := s.run(`CREATE DATABASE ` + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.run(`DROP DATABASE ` + name + ` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(s.dsn)
	if err != nil {
		t.Fatalf("storetest: address: %v", err)
	}
	u.Path = "/" + name
	return u.String()
}

// run runs one statement in the database that is there from the start.
func (s *Server) run(statement string) error {
	db, err := sql.Open("pgx", s.dsn)
	if err != nil {
		return fmt.Errorf("storetest: open: %w", err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("storetest: %s: %w", statement, err)
	}
	return nil
}

// binaries finds the folder of initdb and postgres, the newest version.
func binaries() (string, error) {
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", fmt.Errorf("look for PostgreSQL: %w", err)
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	if p, err := exec.LookPath("initdb"); err == nil {
		folders = append(folders, filepath.Dir(p))
	}
	for _, f := range append(folders, "/usr/local/bin", "/usr/local/pgsql/bin") {
		if executable(filepath.Join(f, "initdb")) && executable(filepath.Join(f, "postgres")) {
			return f, nil
		}
	}
	return "", errors.New("there is no PostgreSQL here, which these tests need: install the Debian package postgresql (apt-get install postgresql), or set CAUSEWAY_TEST_POSTGRES=postgres://… to a server where databases may be made")
}

// version is the 15 of /usr/lib/postgresql/15/bin.
func version(folder string) int {
	v, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	if err != nil {
		return 0
	}
	return v
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// start makes a cluster in the server's folder and starts it.
func (s *Server) start(bin string) error {
	as, err := unprivileged(s.folder)
	if err != nil {
		return err
	}
	data := filepath.Join(s.folder, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "causeway", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = s.folder, processAttributes(as)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	postgres := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", s.folder, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200",
		"-c", "shared_buffers=16MB", "-c", "log_min_messages=log")
	postgres.Dir, postgres.SysProcAttr = s.folder, processAttributes(as)
	return s.watch(postgres)
}

// watch starts the server's process and waits until it takes connections.
func (s *Server) watch(postgres *exec.Cmd) error {
	logs, err := postgres.StderrPipe()
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	ready, ended := make(chan error, 1), make(chan error, 1)
	go own(postgres, logs, ready, ended)
	if err := <-ready; err != nil {
		return errors.Join(err, <-ended)
	}
	s.stop = func() error {
		if err := postgres.Process.Signal(os.Interrupt); err != nil { // SIGINT: fast shutdown
			return fmt.Errorf("stop postgres: %w", err)
		}
		return <-ended
	}
	return nil
}

// own starts the process and waits for its end, on one thread all the time,
// because Linux is told to end the process when the thread that started it is
// gone.
func own(postgres *exec.Cmd, logs io.Reader, ready, ended chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := postgres.Start(); err != nil {
		ready <- fmt.Errorf("start postgres: %w", err)
		ended <- nil
		return
	}
	follow(logs, ready)
	if err := postgres.Wait(); err != nil {
		ended <- fmt.Errorf("postgres: %w", err)
		return
	}
	ended <- nil
}

// follow reads the server's log: what it says before it is ready is the error
// if it never is.
func follow(logs io.Reader, ready chan<- error) {
	var said strings.Builder
	waiting := true
	for lines := bufio.NewScanner(logs); lines.Scan(); {
		if !waiting {
			continue // the pipe must not fill up
		}
		if strings.Contains(lines.Text(), "ready to accept connections") {
			ready <- nil
			waiting = false
			continue
		}
		fmt.Fprintln(&said, lines.Text())
	}
	if waiting {
		ready <- fmt.Errorf("postgres did not start: %s", said.String())
	}
}

// account is the user whom the server runs as, nil for the one of the tests.
type account struct{ uid, gid uint32 }

// unprivileged chooses a user other than root, as whom PostgreSQL refuses to
// run, and gives it the folder.
func unprivileged(folder string) (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		var a account
		if _, err := fmt.Sscan(u.Uid+" "+u.Gid, &a.uid, &a.gid); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		if err := os.Chown(folder, int(a.uid), int(a.gid)); err != nil {
			return nil, fmt.Errorf("give folder to %s: %w", name, err)
		}
		return &a, nil
	}
	return nil, errors.New("PostgreSQL does not run as root and there is neither a user postgres nor nobody: run the tests as another user")
}
