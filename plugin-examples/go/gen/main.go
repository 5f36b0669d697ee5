// Makes pb/ of plugin.proto with what Go modules alone bring: no protoc is
// needed. `go generate ./...` runs it.
package main

import (
	"bytes"
	"context"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	// Run by `go generate`, this is in the folder of the file that says so.
	const file, sources, generated = "plugin.proto", "..", "../pb"
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{sources}}}
	files, err := compiler.Compile(context.Background(), file)
	check(err)
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{file},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(files[0])},
	})
	check(err)
	check(os.MkdirAll(generated, 0o755))
	// Their releases are those of go.mod.
	for _, tool := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		command := exec.Command("go", "tool", tool)
		command.Stdin, command.Stderr = bytes.NewReader(request), os.Stderr
		output, err := command.Output()
		check(err)
		var response pluginpb.CodeGeneratorResponse
		check(proto.Unmarshal(output, &response))
		if response.Error != nil {
			log.Fatalf("%s: %s", tool, *response.Error)
		}
		for _, made := range response.File {
			check(os.WriteFile(filepath.Join(generated, made.GetName()), []byte(made.GetContent()), 0o644))
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
