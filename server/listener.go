package server

import (
	"net"
	"sync"
)

// limitListener accepts no more connections than may be open at once. Its connections stay TCP connections to the HTTP
// server, which ends them in two steps so that a client still gets the answer to a request that was not read whole.
type limitListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	close  func() error
}

func newLimitListener(l net.Listener, most int) *limitListener {
	closed := make(chan struct{})
	return &limitListener{
		Listener: l, places: make(chan struct{}, most), closed: closed,
		close: sync.OnceValue(func() error {
			close(closed)
			return l.Close()
		}),
	}
}

// Accept waits for a place, then for a connection.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	release := sync.OnceFunc(func() { <-l.places })
	conn, err := l.Listener.Accept()
	if err != nil {
		release()
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &tcpConn{tcp, release}, nil
	}
	return &otherConn{conn, release}, nil
}

// Close implements net.Listener.
func (l *limitListener) Close() error { return l.close() }

type tcpConn struct {
	*net.TCPConn
	release func()
}

// Close gives the place free.
func (c *tcpConn) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}

type otherConn struct {
	net.Conn
	release func()
}

// Close gives the place free.
func (c *otherConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
