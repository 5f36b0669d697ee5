package kit

import (
	"context"
	"errors"
	"math"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"sidegate/plugin-examples/pb"
)

// ServeHashicorp does the same with hashicorp/go-plugin, which has the
// handshake, a Unix socket, health, and what it logs. MOSN's kit is made so.
func ServeHashicorp(call Call) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "MOSN_PLUGIN", MagicCookieValue: "ON"},
		Plugins:         map[string]plugin.Plugin{"MOSN_SERVICE": &served{call: call}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(math.MaxInt32))...)
		},
	})
}

type served struct {
	plugin.NetRPCUnsupportedPlugin
	call Call
}

func (s *served) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	pb.RegisterPluginServer(server, &service{call: s.call})
	return nil
}

func (s *served) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin calls none")
}
