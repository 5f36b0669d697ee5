// Package kit has what a plugin does beside answering: the handshake, health,
// and its end.
package kit

//go:generate go run ../gen

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"sidegate/plugin-examples/pb"
)

// Deny as a response's status refuses the request.
const Deny = -1

// Call answers one request; it runs in a goroutine of its own.
type Call func(*pb.Request) (*pb.Response, error)

// ServePlain answers calls until SIGTERM, as a gRPC server and nothing more.
// listen is unix:/path or a loopback address; if it is empty, the plugin makes
// a Unix socket of its own.
func ServePlain(call Call, listen string) error {
	if listen == "" {
		if os.Getenv("MOSN_PLUGIN") != "ON" {
			return errors.New("this is a plugin: name it in a configuration of Sidegate, or say where to -listen")
		}
		// A folder of mode 0700: nobody else can connect, whatever the umask.
		folder, err := os.MkdirTemp("", "plugin-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		listen = "unix:" + filepath.Join(folder, "socket")
	}
	network, address := "tcp", listen
	if path, isPath := strings.CutPrefix(listen, "unix:"); isPath {
		network, address = "unix", path
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}

	// Bodies may be larger than the 4 MiB that gRPC has as a bound; the listener bounds them.
	server := grpc.NewServer(grpc.MaxRecvMsgSize(math.MaxInt32))
	pb.RegisterPluginServer(server, &service{call: call})
	healthy := health.NewServer()
	healthy.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, healthy)

	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-ends
		// Who still has a call after a second has lost it.
		time.AfterFunc(time.Second, server.Stop)
		server.GracefulStop()
	}()
	fmt.Printf("1|1|%s|%s|grpc\n", network, listener.Addr())
	return server.Serve(listener)
}

type service struct {
	pb.UnimplementedPluginServer
	call Call
}

func (s *service) Call(_ context.Context, request *pb.Request) (*pb.Response, error) {
	return s.call(request)
}
