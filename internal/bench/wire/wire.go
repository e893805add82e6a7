// Package wire is just enough of an HTTP client to keep a server busy cheaply: what is measured is the server, which
// shares the machine with its clients.
package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"
)

const (
	// Both bound a wait: for a connection, and for an answer.
	dialPatience   = 10 * time.Second
	answerPatience = 30 * time.Second
	maxBodyLength  = 1 << 20
)

var (
	colon           = []byte(":")
	headerLength    = []byte("content-length")
	headerEncoding  = []byte("transfer-encoding")
	encodingChunked = []byte("chunked")
	statusOK        = []byte("HTTP/1.1 200 ")
)

// Client is a connection that is kept alive. It serves one request at a time.
type Client struct {
	conn          net.Conn
	reader        *bufio.Reader
	head          string
	request, body []byte
}

// Dial connects to a server, by host:port, for requests to a path there.
func Dial(address, path string) (*Client, error) {
	conn, err := net.DialTimeout("tcp", address, dialPatience)
	if err != nil {
		return nil, fmt.Errorf("connecting to the server: %w", err)
	}
	return &Client{
		conn: conn, reader: bufio.NewReaderSize(conn, 4096),
		head: "POST " + path + " HTTP/1.1\r\nHost: " + address + "\r\nContent-Type: application/json\r\nContent-Length: ",
	}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Post sends a JSON body and reads the answer, which is valid until the next one. It tells whether the status was 200.
func (c *Client) Post(body []byte) (answer []byte, ok bool, err error) {
	b := strconv.AppendInt(append(c.request[:0], c.head...), int64(len(body)), 10)
	c.request = append(append(b, "\r\n\r\n"...), body...)
	if err := c.conn.SetDeadline(time.Now().Add(answerPatience)); err != nil {
		return nil, false, err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return nil, false, fmt.Errorf("sending a request: %w", err)
	}
	answer, ok, err = c.answer()
	if err != nil {
		return nil, false, fmt.Errorf("reading an answer: %w", err)
	}
	return answer, ok, nil
}

func (c *Client) answer() (body []byte, ok bool, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return nil, false, err
	}
	ok = bytes.HasPrefix(line, statusOK)
	length, chunked := -1, false
	for len(bytes.TrimSpace(line)) > 0 {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return nil, false, err
		}
		name, value, _ := bytes.Cut(line, colon)
		switch {
		case bytes.EqualFold(name, headerLength):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, false, err
			}
		case bytes.EqualFold(name, headerEncoding):
			chunked = bytes.EqualFold(bytes.TrimSpace(value), encodingChunked)
		}
	}
	c.body = c.body[:0]
	if !chunked {
		err = c.take(length)
		return c.body, ok, err
	}
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return nil, false, err
		}
		length, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return nil, false, err
		}
		if err := c.take(int(length)); err != nil {
			return nil, false, err
		}
		if _, err := c.reader.ReadSlice('\n'); err != nil {
			return nil, false, err
		}
		if length == 0 {
			return c.body, ok, nil
		}
	}
}

// take reads so many bytes of the body.
func (c *Client) take(length int) error {
	had := len(c.body)
	if length < 0 || had+length > maxBodyLength {
		return errors.New("it has no length, or too great a one")
	}
	c.body = slices.Grow(c.body, length)[:had+length]
	_, err := io.ReadFull(c.reader, c.body[had:])
	return err
}
