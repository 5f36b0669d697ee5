package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Messages are bytes as they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }

func (raw) Unmarshal(data []byte, value any) error {
	*value.(*[]byte) = append([]byte{}, data...)
	return nil
}

var ended atomic.Int64

type unaryHandler = func(context.Context, []byte) ([]byte, error)

func unaryMethod(name string, run unaryHandler) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request []byte
		if err := decode(&request); err != nil {
			return nil, err
		}
		reply, err := run(ctx, request)
		return &reply, err
	}}
}

func serveGRPC(listener net.Listener) error {
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "peers.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			unaryMethod("Unary", func(ctx context.Context, request []byte) ([]byte, error) {
				asked, _ := metadata.FromIncomingContext(ctx)
				_ = grpc.SetHeader(ctx, metadata.Pairs("x-initial", "yes"))
				_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "done", "x-asked", first(asked, "x-ask"), "x-blob-bin", first(asked, "x-ask-bin")))
				return request, nil
			}),
			unaryMethod("Fail", func(ctx context.Context, _ []byte) ([]byte, error) {
				_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "failed"))
				return nil, status.Error(codes.FailedPrecondition, "nö 100 %")
			}),
			unaryMethod("Wait", func(ctx context.Context, _ []byte) ([]byte, error) {
				<-ctx.Done()
				ended.Add(1)
				return nil, ctx.Err()
			}),
			unaryMethod("Ended", func(context.Context, []byte) ([]byte, error) {
				return strconv.AppendInt(nil, ended.Load(), 10), nil
			}),
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "Download", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				var request []byte
				if err := stream.RecvMsg(&request); err != nil {
					return err
				}
				count, err := strconv.Atoi(string(request))
				for number := 0; err == nil && number < count; number++ {
					reply := []byte(strconv.Itoa(number))
					err = stream.SendMsg(&reply)
				}
				stream.SetTrailer(metadata.Pairs("x-trailer", "done"))
				return err
			}},
			{StreamName: "Upload", ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				count, size := 0, 0
				for {
					var request []byte
					err := stream.RecvMsg(&request)
					if errors.Is(err, io.EOF) {
						reply := []byte(fmt.Sprintf("%d:%d", count, size))
						return stream.SendMsg(&reply)
					}
					if err != nil {
						return err
					}
					count, size = count+1, size+len(request)
				}
			}},
			{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				for {
					var request []byte
					err := stream.RecvMsg(&request)
					if errors.Is(err, io.EOF) {
						return nil
					}
					if err == nil {
						err = stream.SendMsg(&request)
					}
					if err != nil {
						return err
					}
				}
			}},
		},
	}, struct{}{})
	return server.Serve(listener)
}

func first(values metadata.MD, name string) string {
	if found := values.Get(name); len(found) > 0 {
		return found[0]
	}
	return ""
}

const patience = 20 * time.Second

func grpcChecks(address string) []check {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		panic(err)
	}
	invoke := func(ctx context.Context, method string, request []byte, options ...grpc.CallOption) ([]byte, error) {
		var reply []byte
		err := connection.Invoke(ctx, "/peers.Echo/"+method, &request, &reply, options...)
		return reply, err
	}
	background, done := context.WithTimeout(context.Background(), 3*patience)
	_ = done
	stream := func(name string) (grpc.ClientStream, error) {
		description := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
		return connection.NewStream(background, description, "/peers.Echo/"+name)
	}
	return []check{
		{"unary, metadata and trailers", func() error {
			var header, trailer metadata.MD
			blob := string([]byte{0, 1, 2, 250, 255})
			ctx := metadata.AppendToOutgoingContext(background, "x-ask", "this", "x-ask-bin", blob)
			reply, err := invoke(ctx, "Unary", []byte("hello"), grpc.Header(&header), grpc.Trailer(&trailer))
			if err != nil {
				return err
			}
			return errors.Join(same(string(reply), "hello"), same(first(header, "x-initial"), "yes"),
				same(first(trailer, "x-trailer"), "done"), same(first(trailer, "x-asked"), "this"),
				same(first(trailer, "x-blob-bin"), blob))
		}},
		{"unary, empty message", func() error {
			reply, err := invoke(background, "Unary", nil)
			return errors.Join(err, same(len(reply), 0))
		}},
		{"unary, 3 MiB each way", func() error {
			body := make([]byte, 3<<20)
			for at := range body {
				body[at] = byte(at * 7)
			}
			reply, err := invoke(background, "Unary", body)
			return errors.Join(err, same(string(reply) == string(body), true))
		}},
		{"server streaming, 1,000 messages", func() error {
			stream, err := stream("Download")
			if err != nil {
				return err
			}
			request := []byte("1000")
			if err := errors.Join(stream.SendMsg(&request), stream.CloseSend()); err != nil {
				return err
			}
			for number := 0; ; number++ {
				var reply []byte
				err := stream.RecvMsg(&reply)
				if errors.Is(err, io.EOF) {
					return errors.Join(same(number, 1000), same(first(stream.Trailer(), "x-trailer"), "done"))
				}
				if err = errors.Join(err, same(string(reply), strconv.Itoa(number))); err != nil {
					return err
				}
			}
		}},
		{"client streaming, 1,000 messages", func() error {
			stream, err := stream("Upload")
			if err != nil {
				return err
			}
			piece := make([]byte, 1000)
			for range 1000 {
				if err := stream.SendMsg(&piece); err != nil {
					return err
				}
			}
			var reply []byte
			if err := errors.Join(stream.CloseSend(), stream.RecvMsg(&reply)); err != nil {
				return err
			}
			return same(string(reply), "1000:1000000")
		}},
		{"both streaming, one for one", func() error {
			stream, err := stream("Chat")
			if err != nil {
				return err
			}
			for number := range 100 {
				request, reply := []byte(strconv.Itoa(number)), []byte(nil)
				err := errors.Join(stream.SendMsg(&request), stream.RecvMsg(&reply))
				if err = errors.Join(err, same(string(reply), string(request))); err != nil {
					return err
				}
			}
			var reply []byte
			_ = stream.CloseSend()
			return same(errors.Is(stream.RecvMsg(&reply), io.EOF), true)
		}},
		{"error status with trailers", func() error {
			var trailer metadata.MD
			_, err := invoke(background, "Fail", nil, grpc.Trailer(&trailer))
			return errors.Join(same(status.Code(err), codes.FailedPrecondition), same(status.Convert(err).Message(), "nö 100 %"),
				same(first(trailer, "x-trailer"), "failed"))
		}},
		{"unknown method", func() error {
			_, err := invoke(background, "Unknown", nil)
			return same(status.Code(err), codes.Unimplemented)
		}},
		{"deadline and cancellation reach the server", func() error {
			count := func() int {
				reply, _ := invoke(background, "Ended", nil)
				number, _ := strconv.Atoi(string(reply))
				return number
			}
			before := count()
			short, stop := context.WithTimeout(background, 300*time.Millisecond)
			defer stop()
			if _, err := invoke(short, "Wait", nil); status.Code(err) != codes.DeadlineExceeded {
				return fmt.Errorf("no deadline: %v", err)
			}
			given, giveUp := context.WithCancel(background)
			time.AfterFunc(100*time.Millisecond, giveUp)
			if _, err := invoke(given, "Wait", nil); status.Code(err) != codes.Canceled {
				return fmt.Errorf("not cancelled: %v", err)
			}
			for deadline := time.Now().Add(patience / 2); count() < before+2; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					return errors.New("the server was not told")
				}
			}
			return nil
		}},
		{"500 calls, 50 at once", func() error {
			var group sync.WaitGroup
			var all error
			var lock sync.Mutex
			for worker := range 50 {
				group.Add(1)
				go func() {
					defer group.Done()
					for number := range 10 {
						want := fmt.Sprint(worker, number)
						reply, err := invoke(background, "Unary", []byte(want))
						lock.Lock()
						all = errors.Join(all, err, same(string(reply), want))
						lock.Unlock()
					}
				}()
			}
			group.Wait()
			return all
		}},
	}
}
