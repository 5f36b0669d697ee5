// Go's peers: `peers http-server | http-client URL | grpc-server | grpc-client HOST:PORT | tls-server CERTS |
// tls-client OPEN,MUTUAL,OLD CERTS`. Servers print their port and serve until their input ends; clients print a line for
// each check: `ok` or `FAILED`, a tab, what, a tab, why.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

func main() {
	arguments := append(os.Args, "", "")
	switch arguments[1] {
	case "http-server":
		serve(serveHTTP)
	case "http-client":
		judge(httpChecks(arguments[2]))
	case "grpc-server":
		serve(serveGRPC)
	case "grpc-client":
		judge(grpcChecks(arguments[2]))
	case "tls-server":
		serve(serveTLS(arguments[2]))
	case "tls-client":
		judge(tlsChecks(arguments[2], arguments[3]))
	default:
		fmt.Fprintln(os.Stderr, "usage: peers http-server | http-client URL | grpc-server | grpc-client HOST:PORT | "+
			"tls-server CERTS | tls-client OPEN,MUTUAL,OLD CERTS")
		os.Exit(2)
	}
}

func serve(server func(net.Listener) error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	go func() { panic(server(listener)) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

type check struct {
	name string
	run  func() error
}

func judge(checks []check) {
	failed := 0
	for _, check := range checks {
		if err := check.run(); err != nil {
			failed++
			fmt.Printf("FAILED\t%s\t%s\n", check.name, strings.NewReplacer("\n", " ", "\t", " ").Replace(err.Error()))
		} else {
			fmt.Printf("ok\t%s\n", check.name)
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func same[T comparable](found, wanted T) error {
	if found != wanted {
		return fmt.Errorf("%v instead of %v", found, wanted)
	}
	return nil
}
