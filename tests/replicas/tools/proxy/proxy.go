package proxy

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Moment is when a connection is cut.
type Moment string

// Moments of a commit, from the server's point of view.
const (
	// Before: the client has sent the commit, the server never gets it.
	Before Moment = "before"
	// During: the server gets the commit, and its client is gone at once.
	During Moment = "during"
	// After: the server has committed and answered, the client never gets the answer.
	After Moment = "after"
)

// answerDeadline is how long the server's answer is waited for before a cut.
const answerDeadline = 10 * time.Second

// Counts counts what a proxy did.
type Counts struct {
	Connections int `json:"connections"`
	Commits     int `json:"commits"`
	Cut         int `json:"cut"`
}

// Proxy forwards connections to one server of PostgreSQL.
type Proxy struct {
	mutex    sync.Mutex
	upstream string
	refuses  bool
	open     map[*connection]struct{}
	armed    map[Moment]int
	counts   Counts
	// Signals the end of a standstill.
	moving *sync.Cond
	still  bool
}

// New creates a proxy to a server.
func New(upstream string) *Proxy {
	made := &Proxy{upstream: upstream, open: map[*connection]struct{}{}, armed: map[Moment]int{}}
	made.moving = sync.NewCond(&made.mutex)
	return made
}

// Serve accepts connections until the listener is closed.
func (p *Proxy) Serve(listener net.Listener) error {
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go p.serve(client)
	}
}

// Arm cuts the next commits, each at this moment.
func (p *Proxy) Arm(moment Moment, times int) error {
	if moment != Before && moment != During && moment != After {
		return fmt.Errorf("no moment %q", moment)
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.armed[moment] = times
	return nil
}

// Disarm lets all commits pass.
func (p *Proxy) Disarm() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	clear(p.armed)
}

// Switch sends later connections to another server, and cuts the present ones.
func (p *Proxy) Switch(upstream string) {
	p.mutex.Lock()
	p.upstream = upstream
	p.mutex.Unlock()
	p.CutAll()
}

// Refuse closes new connections at once, or no longer does so.
func (p *Proxy) Refuse(refuses bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.refuses = refuses
}

// CutAll closes all connections.
func (p *Proxy) CutAll() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for one := range p.open {
		one.close()
		p.counts.Cut++
	}
}

// Stand forwards nothing more, and keeps all connections. What came until Move is forwarded then, even if its sender is gone.
func (p *Proxy) Stand() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.still = true
}

// Move forwards again.
func (p *Proxy) Move() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.still = false
	p.moving.Broadcast()
}

// waitUntilMoving waits for the end of a standstill.
func (p *Proxy) waitUntilMoving() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for p.still {
		p.moving.Wait()
	}
}

// Counts returns what the proxy did until now.
func (p *Proxy) Counts() Counts {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.counts
}

// takeMoment counts a commit. It returns when to cut it, or an empty text.
func (p *Proxy) takeMoment() Moment {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.counts.Commits++
	for _, moment := range []Moment{Before, During, After} {
		if p.armed[moment] > 0 {
			p.armed[moment]--
			p.counts.Cut++
			return moment
		}
	}
	return ""
}

func (p *Proxy) serve(client net.Conn) {
	p.mutex.Lock()
	upstream, refuses := p.upstream, p.refuses
	p.counts.Connections++
	p.mutex.Unlock()
	if refuses {
		client.Close()
		return
	}
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		client.Close()
		return
	}
	one := &connection{proxy: p, client: client, server: server, answered: make(chan struct{}, 1)}
	p.mutex.Lock()
	p.open[one] = struct{}{}
	p.mutex.Unlock()
	one.run()
	p.mutex.Lock()
	delete(p.open, one)
	p.mutex.Unlock()
}

// connection is one client's connection and the server's.
type connection struct {
	proxy          *Proxy
	client, server net.Conn
	// Whether a transaction block is open, as the server said last.
	inBlock atomic.Bool
	// Whether answers are no longer forwarded, because the connection is about to be cut.
	withheld atomic.Bool
	// Gets a value at each answer that is withheld.
	answered chan struct{}
}

func (c *connection) close() {
	c.client.Close()
	c.server.Close()
}

func (c *connection) run() {
	defer c.close()
	if !c.startUp() {
		return
	}
	go func() {
		defer c.close()
		c.forwardAnswers()
	}()
	c.forwardRequests()
}

// startUp forwards messages until the start-up message. It returns whether the protocol goes on.
func (c *connection) startUp() bool {
	for {
		start, err := readStart(c.client)
		if err != nil {
			return false
		}
		if _, err := c.server.Write(start.bytes); err != nil {
			return false
		}
		switch start.startCode() {
		case tlsRequest, gssRequest:
			answer := make([]byte, 1)
			if _, err := c.server.Read(answer); err != nil {
				return false
			}
			if _, err := c.client.Write(answer); err != nil {
				return false
			}
			if answer[0] != 'N' {
				// The rest is encrypted: the proxy cannot read it.
				return false
			}
		case cancelRequest:
			return false
		default:
			return true
		}
	}
}

func (c *connection) forwardRequests() {
	seen := statements{prepared: map[string]string{}}
	for {
		m, err := readMessage(c.client)
		if err != nil {
			return
		}
		changes, commits := seen.read(m)
		moment := Moment("")
		if commits || changes && !c.inBlock.Load() {
			moment = c.proxy.takeMoment()
		}
		if moment == Before {
			return
		}
		if moment == After {
			c.withheld.Store(true)
		}
		c.proxy.waitUntilMoving()
		if _, err := c.server.Write(m.bytes); err != nil {
			return
		}
		if moment == After {
			c.waitForAnswer()
		}
		if moment != "" {
			return
		}
	}
}

func (c *connection) waitForAnswer() {
	select {
	case <-c.answered:
	case <-time.After(answerDeadline):
	}
}

func (c *connection) forwardAnswers() {
	for {
		m, err := readMessage(c.server)
		if err != nil {
			return
		}
		if m.kind == 'Z' && len(m.body()) == 1 {
			c.inBlock.Store(m.body()[0] != 'I')
		}
		if c.withheld.Load() {
			if m.kind == 'Z' {
				c.answered <- struct{}{}
				return
			}
			continue
		}
		c.proxy.waitUntilMoving()
		if _, err := c.client.Write(m.bytes); err != nil {
			return
		}
	}
}
