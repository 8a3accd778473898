// Attempts on the wire, for tests/interop/attempts.py: a server that fails attempts as it is told and
// writes down what came, and a client that makes calls under a service config. tests/interop/tern/attempts
// is the same in C; what both mean is said in attempts.py.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Messages are bytes.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)     { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error   { *v.(*[]byte) = append([]byte(nil), b...); return nil }
func (raw) Name() string                      { return "proto" }
func first(md metadata.MD, key string) string { return strings.Join(md.Get(key), ",") }

// --- server

var (
	lock sync.Mutex
	seen = map[string]int{}
)

func serve(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	md, _ := metadata.FromIncomingContext(stream.Context())
	call := first(md, "x-call")
	lock.Lock()
	n := seen[call]
	seen[call]++
	lock.Unlock()

	messages, bytes := 0, 0
	for {
		var in []byte
		err := stream.RecvMsg(&in)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		messages++
		bytes += len(in)
	}
	previous := first(md, "grpc-previous-rpc-attempts")
	if previous == "" {
		previous = "-"
	}
	timeout := "no"
	if _, ok := stream.Context().Deadline(); ok {
		timeout = "yes"
	}
	lock.Lock()
	fmt.Printf("%s %s previous=%s timeout=%s messages=%d bytes=%d\n", call, path, previous, timeout, messages,
		bytes)
	lock.Unlock()

	steps := strings.Split(first(md, "x-script"), ",")
	if n >= len(steps) {
		n = len(steps) - 1
	}
	return do(stream, steps[n], fmt.Sprintf("attempt %s", previous))
}

// A step: a code, then "h" (headers first), "m" (a message first), "p<pushback>".
func do(stream grpc.ServerStream, step, message string) error {
	digits := strings.TrimRight(step, "hm")
	pushback := ""
	if i := strings.Index(step, "p"); i >= 0 {
		pushback = step[i+1:]
		digits = strings.TrimRight(step[:i], "hm")
		step = step[:i]
	}
	code, err := strconv.Atoi(digits)
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "no step: %s", step)
	}
	if pushback != "" {
		stream.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", pushback))
	}
	if strings.Contains(step, "h") {
		if err := stream.SendHeader(metadata.Pairs("x-early", "yes")); err != nil {
			return err
		}
	}
	if code == 0 || strings.Contains(step, "m") {
		out := []byte("answer")
		if err := stream.SendMsg(&out); err != nil {
			return err
		}
	}
	if code == 0 {
		return nil
	}
	return status.Error(codes.Code(code), message)
}

// --- client

func call(conn *grpc.ClientConn, line string) (answers int, err error) {
	f := strings.Fields(line) // call path script messages size timeout_ms
	messages, _ := strconv.Atoi(f[3])
	size, _ := strconv.Atoi(f[4])
	timeout, _ := strconv.Atoi(f[5])
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-call", f[0], "x-script", f[2])
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Millisecond)
		defer cancel()
	}
	in := make([]byte, size)
	if strings.HasSuffix(f[1], "/Unary") {
		var out []byte
		if err = conn.Invoke(ctx, f[1], &in, &out); err == nil {
			answers++
		}
		return answers, err
	}
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := conn.NewStream(ctx, desc, f[1])
	if err != nil {
		return 0, err
	}
	for range messages {
		if err = stream.SendMsg(&in); err != nil {
			break // its status comes from RecvMsg
		}
	}
	stream.CloseSend()
	for {
		var out []byte
		if err = stream.RecvMsg(&out); err == io.EOF {
			return answers, nil
		} else if err != nil {
			return answers, err
		}
		answers++
	}
}

func calls(target, config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(string(text)), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		return err
	}
	defer conn.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answers, err := call(conn, lines.Text())
		s := status.Convert(err)
		message := s.Message()
		if s.Code() == codes.DeadlineExceeded { // the client's own words
			message = ""
		}
		fmt.Printf("%s code=%d answers=%d %s\n", strings.Fields(lines.Text())[0], s.Code(), answers, message)
	}
	return nil
}

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("listening on port %d\n", l.Addr().(*net.TCPAddr).Port)
		s := grpc.NewServer(grpc.UnknownServiceHandler(serve), grpc.ForceServerCodec(raw{}),
			grpc.MaxRecvMsgSize(1<<30))
		s.Serve(l)
	case len(os.Args) == 4 && os.Args[1] == "call":
		if err := calls("passthrough:///"+os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: attempts serve | attempts call HOST:PORT CONFIG < CALLS")
		os.Exit(2)
	}
}
