// A kubelet of a test: what an API server leads `kubectl exec`, `attach`, `cp` and `port-forward` to. It speaks what real ones speak:
// v5.channel.k8s.io over WebSocket, v4.channel.k8s.io over SPDY, and port forwarding over SPDY, tunnelled in WebSocket or not.
// Commands run on this machine; a forwarded port answers with what it is sent. Each request is a line on standard output, after the
// port. Usage: kubelet CERTIFICATE KEY
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/docker/spdystream"
	"golang.org/x/net/websocket"
)

const tunnel = "SPDY/3.1+portforward.k8s.io"

// Streams of one session; any of them may be absent.
type streams struct {
	in       io.Reader
	out, err io.Writer
	status   io.Writer
}

func main() {
	pair, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	// upgrades are HTTP/1.1's alone
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, http.HandlerFunc(serve)))
}

func serve(w http.ResponseWriter, r *http.Request) {
	kind := strings.Split(r.URL.Path, "/")[1]
	fmt.Println(kind, r.Header.Get("Upgrade"), r.Header.Get("Sec-Websocket-Protocol"), strings.Join(r.URL.Query()["command"], " "))
	socket := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	switch {
	case kind == "portForward" && socket:
		overWebSocket(tunnel, func(ws *websocket.Conn) { forward(ws) }).ServeHTTP(w, r)
	case kind == "portForward":
		forward(hijacked(w, "portforward.k8s.io"))
	case socket:
		overWebSocket("v5.channel.k8s.io", func(ws *websocket.Conn) { channels(ws, r, kind) }).ServeHTTP(w, r)
	default:
		overSpdy(hijacked(w, "v4.channel.k8s.io"), r, kind)
	}
}

func overWebSocket(protocol string, handler websocket.Handler) http.Handler {
	return websocket.Server{Handler: handler, Handshake: func(config *websocket.Config, _ *http.Request) error {
		for _, offered := range config.Protocol {
			if offered == protocol {
				config.Protocol = []string{protocol}
				return nil
			}
		}
		return websocket.ErrBadWebSocketProtocol
	}}
}

// Taken over before anything is answered: what a client sends at once would be in the server's buffer else.
func hijacked(w http.ResponseWriter, protocol string) net.Conn {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: %s\r\n\r\n", protocol)
	return conn
}

// One byte before each message says which stream it is of.
type channel struct {
	ws     *websocket.Conn
	mutex  *sync.Mutex
	number byte
}

func (c channel) Write(data []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return len(data), websocket.Message.Send(c.ws, append([]byte{c.number}, data...))
}

func channels(ws *websocket.Conn, r *http.Request, kind string) {
	in, feed := io.Pipe()
	go func() {
		defer feed.Close()
		for {
			var message []byte
			if websocket.Message.Receive(ws, &message) != nil || bytes.Equal(message, []byte{255, 0}) {
				return
			}
			if len(message) > 0 && message[0] == 0 {
				feed.Write(message[1:])
			}
		}
	}()
	mutex := &sync.Mutex{}
	of := func(number byte) io.Writer { return channel{ws, mutex, number} }
	session(r, kind, streams{in, of(1), of(2), of(3)})
	ws.Close()
}

func overSpdy(conn net.Conn, r *http.Request, kind string) {
	spdy, err := spdystream.NewConnection(conn, true)
	if err != nil {
		return
	}
	found := make(chan *spdystream.Stream, 5)
	go spdy.Serve(func(stream *spdystream.Stream) {
		stream.SendReply(http.Header{}, false)
		found <- stream
	})
	wanted := 1
	for _, name := range []string{"input", "output", "error"} {
		if r.URL.Query().Get(name) == "1" {
			wanted++
		}
	}
	var all streams
	var ends []*spdystream.Stream
	for ; wanted > 0; wanted-- {
		stream := <-found
		ends = append(ends, stream)
		switch stream.Headers().Get("Streamtype") {
		case "stdin":
			all.in = stream
		case "stdout":
			all.out = stream
		case "stderr":
			all.err = stream
		case "error":
			all.status = stream
		}
	}
	session(r, kind, all)
	for _, stream := range ends {
		stream.Close()
	}
	spdy.CloseWait()
}

func session(r *http.Request, kind string, s streams) {
	var err error
	query := r.URL.Query()
	if kind == "attach" {
		_, err = io.WriteString(s.out, "attached\n")
	} else {
		command := exec.Command(query["command"][0], query["command"][1:]...)
		command.Stdout, command.Stderr = s.out, s.err
		if query.Get("input") == "1" {
			pipe, _ := command.StdinPipe()
			go func() {
				io.Copy(pipe, s.in)
				pipe.Close()
			}()
		}
		err = command.Run()
	}
	s.status.Write(status(err))
}

func status(err error) []byte {
	told := map[string]interface{}{"metadata": map[string]interface{}{}, "status": "Success"}
	if exit, ok := err.(*exec.ExitError); ok {
		cause := map[string]string{"reason": "ExitCode", "message": fmt.Sprint(exit.ExitCode())}
		told["status"], told["reason"], told["message"] = "Failure", "NonZeroExitCode", "command terminated with non-zero exit code"
		told["details"] = map[string]interface{}{"causes": []interface{}{cause}}
	} else if err != nil {
		told["status"], told["reason"], told["message"] = "Failure", "InternalError", err.Error()
	}
	text, _ := json.Marshal(told)
	return text
}

// Answers each data stream with what it is sent.
func forward(conn net.Conn) {
	if ws, ok := conn.(*websocket.Conn); ok {
		ws.PayloadType = websocket.BinaryFrame
	}
	spdy, err := spdystream.NewConnection(conn, true)
	if err != nil {
		return
	}
	spdy.Serve(func(stream *spdystream.Stream) {
		stream.SendReply(http.Header{}, false)
		go func() { // the next frame waits for this to return
			if stream.Headers().Get("Streamtype") == "data" {
				io.Copy(stream, stream)
			}
			stream.Close()
		}()
	})
}
