package storetest

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Line is what connections to a database run over. It can be cut, and mended, and it counts the
// journeys made over it.
type Line struct {
	t        testing.TB
	network  string
	address  string
	own      string
	journeys atomic.Int64

	mu    sync.Mutex
	door  net.Listener // nil while cut
	conns map[net.Conn]bool
	group sync.WaitGroup
}

// Severable returns the URL of a new, empty PostgreSQL database that is reached over a line of its
// own.
func Severable(t testing.TB) (dsn string, line *Line) {
	t.Helper()
	direct := Postgres(t)
	cfg, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	line = &Line{t: t, own: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	line.network, line.address = pgconn.NetworkAddress(cfg.Host, cfg.Port)
	line.Mend()
	t.Cleanup(line.Cut)
	u := url.URL{Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: line.own, Path: "/" + cfg.Database}
	return u.String(), line
}

// Cut ends all connections, and refuses new ones.
func (l *Line) Cut() {
	l.mu.Lock()
	if l.door != nil {
		l.door.Close()
		l.door = nil
	}
	for c := range l.conns {
		c.Close()
	}
	l.mu.Unlock()
	l.group.Wait()
}

// Mend lets connections through again.
func (l *Line) Mend() {
	l.t.Helper()
	door, err := net.Listen("tcp", l.own)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.door, l.own = door, door.Addr().String()
	l.group.Go(func() {
		for {
			c, err := door.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				l.group.Go(func() { l.carry(c) })
			}
		}
	})
}

// Journeys returns how often somebody has asked the database something and waited for its answer.
func (l *Line) Journeys() int64 { return l.journeys.Load() }

// carry moves bytes both ways until either end is closed.
func (l *Line) carry(c net.Conn) {
	defer c.Close()
	server, err := net.Dial(l.network, l.address)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.hold(c, server) {
		return
	}
	defer l.drop(c, server)
	var group sync.WaitGroup
	var answered atomic.Bool // since the client said something last
	move := func(to, from net.Conn, noted func()) {
		group.Go(func() {
			_, _ = io.Copy(to, heard{from, noted}) // its end is all we wait for
			to.Close()
			from.Close()
		})
	}
	move(c, server, func() { answered.Store(true) })
	move(server, c, func() {
		if answered.Swap(false) {
			l.journeys.Add(1)
		}
	})
	group.Wait()
}

// A heard reader notes that something came.
type heard struct {
	io.Reader
	note func()
}

func (h heard) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if n > 0 {
		h.note()
	}
	return n, err
}

// hold notes connections for Cut, unless it came first.
func (l *Line) hold(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.conns[c] = l.door != nil
	}
	return l.door != nil
}

func (l *Line) drop(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.conns, c)
	}
}
