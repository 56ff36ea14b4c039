// Package proxy has a proxy for PostgreSQL's protocol that cuts connections in the middle of a commit.
package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
)

// Codes of requests that come instead of a start-up message.
const (
	cancelRequest = 80877102
	tlsRequest    = 80877103
	gssRequest    = 80877104
)

const maxMessageBytes = 1 << 28

// The proxy looks at the text of statements, not at their plan: statements that change rows, and the end of a transaction.
var (
	changes = regexp.MustCompile(`(?is)\b(insert\s+into|update\s+\S+\s+(as\s+\S+\s+)?set|delete\s+from|merge\s+into)\b`)
	commits = regexp.MustCompile(`(?is)^\s*(commit|end)\b`)
)

// message is one message of the protocol, as it came. The type of a start-up message is 0.
type message struct {
	kind  byte
	bytes []byte
}

func (m message) body() []byte {
	if m.kind == 0 {
		return m.bytes[4:]
	}
	return m.bytes[5:]
}

// readMessage reads a message with a type.
func readMessage(from io.Reader) (message, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(from, head); err != nil {
		return message{}, err
	}
	return readRest(from, head[0], head)
}

// readStart reads a start-up message, or a request that comes instead of one.
func readStart(from io.Reader) (message, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(from, head); err != nil {
		return message{}, err
	}
	return readRest(from, 0, head)
}

func readRest(from io.Reader, kind byte, head []byte) (message, error) {
	length := int(binary.BigEndian.Uint32(head[len(head)-4:]))
	if length < 4 || length > maxMessageBytes {
		return message{}, fmt.Errorf("a message of %d bytes", length)
	}
	whole := make([]byte, len(head)+length-4)
	copy(whole, head)
	_, err := io.ReadFull(from, whole[len(head):])
	return message{kind, whole}, err
}

func (m message) startCode() uint32 {
	if len(m.body()) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(m.body())
}

// statements follows the statements of one connection.
type statements struct {
	// Text of prepared statements by their name.
	prepared map[string]string
	// Whether messages since the last Sync change rows, or end a transaction.
	changes, commits bool
}

// read takes the next message of the client. It returns whether the message ends a batch that commits a change, if no
// transaction block was open before it.
func (s *statements) read(m message) (endsChange, endsCommit bool) {
	switch m.kind {
	case 'Q':
		s.note(text(m.body()))
	case 'P':
		name, rest := cut(m.body())
		query, _ := cut(rest)
		s.prepared[name] = query
		return false, false
	case 'B':
		_, rest := cut(m.body())
		name, _ := cut(rest)
		s.note(s.prepared[name])
		return false, false
	case 'S':
	default:
		return false, false
	}
	endsChange, endsCommit = s.changes, s.commits
	s.changes, s.commits = false, false
	return endsChange, endsCommit
}

func (s *statements) note(query string) {
	s.changes = s.changes || changes.MatchString(query)
	s.commits = s.commits || commits.MatchString(query)
}

func text(bytes []byte) string {
	text, _ := cut(bytes)
	return text
}

// cut splits at the first zero byte.
func cut(all []byte) (string, []byte) {
	at := bytes.IndexByte(all, 0)
	if at < 0 {
		return string(all), nil
	}
	return string(all[:at]), all[at+1:]
}
