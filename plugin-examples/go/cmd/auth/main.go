// Lets requests pass whose fields have the values that a file names; made with
// hashicorp/go-plugin, as MOSN's plugins are.
package main

import (
	"flag"
	"log"

	"sidegate/plugin-examples/kit"
	"sidegate/plugin-examples/rule"
)

func main() {
	config := flag.String("c", "", `a file such as {"User": "admin"}`)
	flag.Parse()
	expected, err := rule.Read(*config)
	if err != nil {
		log.Fatal(err)
	}
	kit.ServeHashicorp(expected.Decide)
}
