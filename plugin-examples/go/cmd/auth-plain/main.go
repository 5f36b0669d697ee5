// The same filter as a gRPC server and nothing more.
package main

import (
	"flag"
	"log"

	"sidegate/plugin-examples/kit"
	"sidegate/plugin-examples/rule"
)

func main() {
	config := flag.String("c", "", `a file such as {"User": "admin"}`)
	listen := flag.String("listen", "", "unix:/path or a loopback address; without it a Unix socket of its own")
	flag.Parse()
	expected, err := rule.Read(*config)
	if err != nil {
		log.Fatal(err)
	}
	if err := kit.ServePlain(expected.Decide, *listen); err != nil {
		log.Fatal(err)
	}
}
