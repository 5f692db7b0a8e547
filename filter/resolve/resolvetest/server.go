package resolvetest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gatepost.example/filter/resolve"
)

// Query is one query that a Server received.
type Query struct {
	Question
	Raw  string // the name as sent, in its case
	ID   uint16
	Port uint16 // of the sender
	TCP  bool
	EDNS bool
}

// Server is a DNS server on loopback, over UDP and TCP, that serves a Zone, honestly or with faults.
type Server struct {
	zone   *Zone
	packet *net.UDPConn
	listen net.Listener
	closed chan struct{}
	work   sync.WaitGroup

	mu      sync.Mutex
	faults  []Fault
	queries []Query
	conns   map[net.Conn]bool
}

// NewServer starts a server on a free port of 127.0.0.1. Close ends it.
func NewServer(z *Zone) (*Server, error) {
	for range 20 { // the UDP port that we are given may be taken for TCP
		packet, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		if s, err := listen(z, packet); err == nil {
			return s, nil
		}
	}
	return nil, errors.New("resolvetest: no port of 127.0.0.1 is free for both UDP and TCP")
}

// NewServerAt starts a server at an IPv4 address and port, for programs that ask only at port 53 ("127.0.0.1:53").
func NewServerAt(z *Zone, address string) (*Server, error) {
	at, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return nil, err
	}
	packet, err := net.ListenUDP("udp4", at)
	if err != nil {
		return nil, err
	}
	return listen(z, packet)
}

// listen serves over UDP and, at the same address, over TCP; packet is closed when that cannot be.
func listen(z *Zone, packet *net.UDPConn) (*Server, error) {
	stream, err := net.Listen("tcp4", packet.LocalAddr().String())
	if err != nil {
		packet.Close()
		return nil, err
	}
	s := &Server{zone: z, packet: packet, listen: stream, closed: make(chan struct{}), conns: map[net.Conn]bool{}}
	s.work.Go(s.serveUDP)
	s.work.Go(s.serveTCP)
	return s, nil
}

// Addr gives the server's host:port.
func (s *Server) Addr() string { return s.packet.LocalAddr().String() }

// Misbehave makes the server apply faults, in this order, to all queries from now on. Without faults it is honest again.
func (s *Server) Misbehave(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

// Queries gives all queries so far, in the order received.
func (s *Server) Queries() []Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Query(nil), s.queries...)
}

// Close stops the server and waits for what it is doing.
func (s *Server) Close() {
	close(s.closed)
	s.packet.Close()
	s.listen.Close()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

func (s *Server) serveUDP() {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := s.packet.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		packet := append([]byte(nil), buf[:n]...)
		s.work.Go(func() {
			for _, reply := range s.answer(packet, from, false) {
				s.packet.WriteToUDPAddrPort(reply, from)
			}
		})
	}
}

func (s *Server) serveTCP() {
	for {
		conn, err := s.listen.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		select {
		case <-s.closed: // Close may have gone through the connections already
			conn.Close()
		default:
		}
		s.work.Go(func() {
			s.serveConn(conn)
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

// serveConn answers the queries of one TCP connection until it ends or a query gets no answer.
func (s *Server) serveConn(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	from, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		replies := s.answer(packet, from, true)
		if len(replies) == 0 {
			return
		}
		for _, reply := range replies {
			conn.Write(binary.BigEndian.AppendUint16(nil, uint16(len(reply))))
			conn.Write(reply)
		}
	}
}

// answer gives the packets to send for one query, after the delay that the faults ask for.
func (s *Server) answer(packet []byte, from netip.AddrPort, tcp bool) [][]byte {
	q, ok := readQuery(packet)
	if !ok {
		return nil
	}
	name, _ := resolve.CleanName(q.name)
	s.mu.Lock()
	s.queries = append(s.queries, Query{
		Question: Question{Name: name, Type: resolve.Type(q.kind)}, Raw: q.name,
		ID: binary.BigEndian.Uint16(q.packet), Port: from.Port(), TCP: tcp, EDNS: q.edns,
	})
	faults := s.faults
	s.mu.Unlock()

	e := &Exchange{TCP: tcp, EDNS: q.edns, zone: s.zone, query: q}
	if reply := s.zone.reply(q, maxPacket); reply != nil {
		e.Send = [][]byte{e.fit(reply)}
	}
	for _, fault := range faults {
		fault(e)
	}
	if e.Wait > 0 {
		timer := time.NewTimer(e.Wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.closed:
			return nil
		}
	}
	return e.Send
}
