// A plugin made with hashicorp/go-plugin, as MOSN's own kit is: the same
// handshake, the same service. It is built with the release that MOSN uses and
// with a new one.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// Request and Response are MOSN's messages, told to the protobuf runtime by
// tags: nothing is generated.
type Request struct {
	Header  map[string]string `protobuf:"bytes,1,rep,name=header" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	Trailer map[string]string `protobuf:"bytes,2,rep,name=trailer" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	Body    []byte            `protobuf:"bytes,3,opt,name=body,proto3"`
	Type    string            `protobuf:"bytes,4,opt,name=type,proto3"`
}

type Response struct {
	Header  map[string]string `protobuf:"bytes,1,rep,name=header" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	Trailer map[string]string `protobuf:"bytes,2,rep,name=trailer" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	Body    []byte            `protobuf:"bytes,3,opt,name=body,proto3"`
	Status  int32             `protobuf:"varint,4,opt,name=status,proto3"`
}

func (r *Request) Reset()          { *r = Request{} }
func (r *Request) String() string  { return "request" }
func (r *Request) ProtoMessage()   {}
func (r *Response) Reset()         { *r = Response{} }
func (r *Response) String() string { return "response" }
func (r *Response) ProtoMessage()  {}

type service interface {
	Call(context.Context, *Request) (*Response, error)
}

func call(srv interface{}, ctx context.Context, decode func(interface{}) error, intercept grpc.UnaryServerInterceptor) (interface{}, error) {
	request := new(Request)
	if err := decode(request); err != nil {
		return nil, err
	}
	if intercept == nil {
		return srv.(service).Call(ctx, request)
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/proto.Plugin/Call"}
	return intercept(ctx, request, info, func(ctx context.Context, request interface{}) (interface{}, error) {
		return srv.(service).Call(ctx, request.(*Request))
	})
}

var description = grpc.ServiceDesc{
	ServiceName: "proto.Plugin",
	HandlerType: (*service)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Call", Handler: call}},
}

type auth struct {
	plugin.NetRPCUnsupportedPlugin
	expected map[string]string
	log      hclog.Logger
}

func (a *auth) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	server.RegisterService(&description, a)
	return nil
}

func (a *auth) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (interface{}, error) {
	return nil, fmt.Errorf("a plugin calls none")
}

// Call lets requests pass whose fields are as expected.
func (a *auth) Call(ctx context.Context, request *Request) (*Response, error) {
	for name, value := range a.expected {
		if request.Header[name] != value {
			return &Response{Status: -1}, nil
		}
	}
	if request.Header["X-Print"] != "" {
		fmt.Println("printed by the plugin")
		a.log.Warn("logged by the plugin", "user", request.Header["User"])
	}
	response := &Response{Status: 1, Header: map[string]string{"X-Checked-By": "go", "X-Secret": ""}}
	if len(request.Body) > 0 {
		response.Body = []byte(upper(request.Body))
	}
	response.Trailer = map[string]string{}
	for name, value := range request.Trailer {
		response.Trailer[name] = value + "!"
	}
	return response, nil
}

func upper(text []byte) string {
	out := make([]byte, len(text))
	for at, b := range text {
		if b >= 'a' && b <= 'z' {
			b -= 'a' - 'A'
		}
		out[at] = b
	}
	return string(out)
}

func main() {
	config := flag.String("c", "", "what is expected of requests, as JSON")
	flag.Parse()
	expected := map[string]string{}
	text, err := os.ReadFile(*config)
	if err == nil {
		err = json.Unmarshal(text, &expected)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "[ERROR]", err)
		os.Exit(1)
	}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: os.Stderr, JSONFormat: true})
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "MOSN_PLUGIN", MagicCookieValue: "ON"},
		Plugins:         map[string]plugin.Plugin{"MOSN_SERVICE": &auth{expected: expected, log: log}},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          log,
	})
}
