// Package rule is the filter itself, whichever kit serves it.
package rule

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"

	"sidegate/plugin-examples/kit"
	"sidegate/plugin-examples/pb"
)

// Auth is the values of fields, by their names in lower case.
type Auth map[string]string

// Read takes it from a file such as {"User": "admin"}.
func Read(file string) (Auth, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	expected := Auth{}
	if err := json.Unmarshal(text, &expected); err != nil {
		return nil, err
	}
	return lower(expected), nil
}

// Decide lets requests pass whose fields have all these values.
func (expected Auth) Decide(request *pb.Request) (*pb.Response, error) {
	if request.Type == "response" {
		return &pb.Response{Header: map[string]string{"X-Checked-By": "go"}}, nil
	}
	fields := lower(request.Header)
	answer := &pb.Response{
		// A field that clients must not set is removed by an empty value.
		Header: map[string]string{"X-Checked-By": "go", "X-Internal": ""},
	}
	body := request.Body
	for name, value := range expected {
		// Fields of one name come joined by commas, so that a second one is no match.
		if found, isThere := fields[name]; !isThere || found != value {
			return &pb.Response{Status: kit.Deny}, nil
		}
		if value != "" {
			body = bytes.ReplaceAll(body, []byte(value), []byte("***"))
		}
	}
	if !bytes.Equal(body, request.Body) {
		answer.Body = body
	}
	return answer, nil
}

func lower(fields map[string]string) map[string]string {
	lowered := make(map[string]string, len(fields))
	for name, value := range fields {
		lowered[strings.ToLower(name)] = value
	}
	return lowered
}
