package c2s

import (
	"encoding/json"
	"encoding/xml"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/bearhug/bearhug/stream"
)

// Handle registers the door for web clients: /xmpp-websocket (RFC 7395) and
// the discovery of it (XEP-0156).
func (s *Server) Handle(mux *http.ServeMux) {
	mux.HandleFunc("/xmpp-websocket", s.websocket)
	mux.HandleFunc("GET /.well-known/host-meta", s.hostMeta)
	mux.HandleFunc("GET /.well-known/host-meta.json", s.hostMetaJSON)
}

// websocket makes a stream of a request.
func (s *Server) websocket(w http.ResponseWriter, r *http.Request) {
	address, secure := s.Visitor(r)
	sc, err := stream.Upgrade(w, r, s.Poller)
	if err != nil {
		s.Log.Debug("no WebSocket", "address", address, "cause", err)
		return
	}
	c := s.open(sc, address)
	if c == nil {
		return
	}
	c.secure = secure
	sc.Serve(stream.Handler{Item: c.item, Closed: c.closed})
}

// Visitor finds the address of a client and whether it came over TLS; proxies
// that are trusted speak for it.
func (s *Server) Visitor(r *http.Request) (address string, secure bool) {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	secure = r.TLS != nil
	if !s.trusted(address) {
		return address, secure
	}
	secure = secure || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- { // the last that is no proxy of ours
		hop, ok := hopOf(strings.TrimSpace(hops[i]))
		if !ok {
			break
		}
		address = hop
		if !s.trusted(hop) {
			break
		}
	}
	return address, secure
}

// hopOf reads one address of X-Forwarded-For; some proxies write the port too,
// and failures that are counted by address must not be by port.
func hopOf(text string) (address string, ok bool) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip.String(), true
	}
	if both, err := netip.ParseAddrPort(text); err == nil {
		return both.Addr().String(), true
	}
	return "", false
}

func (s *Server) trusted(address string) bool {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, p := range s.Proxies {
		if p.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

const (
	relWebSocket = "urn:xmpp:alt-connections:websocket"
	nsXRD        = "http://docs.oasis-open.org/ns/xri/xrd-1.0"
)

type link struct {
	Rel  string `xml:"rel,attr" json:"rel"`
	Href string `xml:"href,attr" json:"href"`
}

// link is where a client of the request's host finds the WebSocket.
func (s *Server) link(w http.ResponseWriter, r *http.Request) (link, bool) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if _, ok := s.Hosts(strings.ToLower(host)); !ok {
		http.NotFound(w, r)
		return link{}, false
	}
	scheme := "ws://"
	if _, secure := s.Visitor(r); secure {
		scheme = "wss://"
	}
	return link{relWebSocket, scheme + r.Host + "/xmpp-websocket"}, true
}

func (s *Server) hostMeta(w http.ResponseWriter, r *http.Request) {
	l, ok := s.link(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/xrd+xml; charset=utf-8")
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"XRD"`
		NS      string   `xml:"xmlns,attr"`
		Link    link     `xml:"Link"`
	}{NS: nsXRD, Link: l})
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Write(append([]byte(xml.Header), body...))
}

func (s *Server) hostMetaJSON(w http.ResponseWriter, r *http.Request) {
	l, ok := s.link(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"links": []link{l}})
}
