// Command cut-proxy forwards connections to a server of PostgreSQL, and cuts them on command.
//
//	cut-proxy -listen 127.0.0.1:6000 -upstream 127.0.0.1:5432
//
// It reads commands from standard input, one on each line, and answers each with a line of JSON:
//
//	arm before|during|after N   cut the next N commits at this moment
//	disarm                      let all commits pass
//	cut                         close all connections
//	refuse, accept              refuse new connections, or accept them again
//	stand, move                 forward nothing, or forward again: connections stay
//	switch HOST:PORT            send new connections to another server, and close the present ones
//	counts                      only answer
//
// It ends when standard input is closed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	"tidewater/tests/replicas/tools/proxy"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	upstream := flag.String("upstream", "", "address of the server")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	forwarder := proxy.New(*upstream)
	go func() { log.Fatal(forwarder.Serve(listener)) }()
	fmt.Printf("{\"listen\":%q}\n", listener.Addr())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := obey(forwarder, lines.Text()); err != nil {
			log.Fatalf("%q: %v", lines.Text(), err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(forwarder.Counts()); err != nil {
			log.Fatal(err)
		}
	}
}

func obey(forwarder *proxy.Proxy, line string) error {
	var command, argument string
	var times int
	fmt.Sscan(line, &command, &argument, &times)
	switch command {
	case "arm":
		return forwarder.Arm(proxy.Moment(argument), times)
	case "disarm":
		forwarder.Disarm()
	case "cut":
		forwarder.CutAll()
	case "refuse":
		forwarder.Refuse(true)
	case "accept":
		forwarder.Refuse(false)
	case "stand":
		forwarder.Stand()
	case "move":
		forwarder.Move()
	case "switch":
		forwarder.Switch(argument)
	case "counts":
	default:
		return fmt.Errorf("unknown command")
	}
	return nil
}
