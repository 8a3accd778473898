"""What client.py and server.py share: messages, metadata keys, the command line of the official interop
programs. PB2_DIR in the environment is where protoc --python_out wrote grpc/testing/*_pb2.py.

The generated modules live below grpc/testing/, which is also the name of grpcio's own package, so
they are found by adding that folder to its path."""

import os
import sys

import grpc

grpc.__path__.insert(0, os.path.join(os.environ["PB2_DIR"], "grpc"))

from grpc.testing import empty_pb2 as empty  # noqa: E402
from grpc.testing import messages_pb2 as messages  # noqa: E402

ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"
SERVICE = "grpc.testing.TestService"

# Method: kind of request, kind of response, their types.
METHODS = {
    "EmptyCall": ("unary", "unary", empty.Empty, empty.Empty),
    "UnaryCall": ("unary", "unary", messages.SimpleRequest, messages.SimpleResponse),
    "CacheableUnaryCall": ("unary", "unary", messages.SimpleRequest, messages.SimpleResponse),
    "StreamingOutputCall": ("unary", "stream", messages.StreamingOutputCallRequest,
                            messages.StreamingOutputCallResponse),
    "StreamingInputCall": ("stream", "unary", messages.StreamingInputCallRequest,
                           messages.StreamingInputCallResponse),
    "FullDuplexCall": ("stream", "stream", messages.StreamingOutputCallRequest,
                       messages.StreamingOutputCallResponse),
    "HalfDuplexCall": ("stream", "stream", messages.StreamingOutputCallRequest,
                       messages.StreamingOutputCallResponse),
    "UnimplementedCall": ("unary", "unary", empty.Empty, empty.Empty),
}


def parse_flags(defaults):
    """--name=value, --name value, or --name for a bool. Types follow the defaults."""
    values, args = dict(defaults), sys.argv[1:]
    while args:
        name, equals, value = args.pop(0).lstrip("-").partition("=")
        if name not in values:
            sys.exit(f"{sys.argv[0]}: --{name} is not known; there are: {', '.join(values)}")
        if not equals:
            value = "true" if isinstance(values[name], bool) else args.pop(0)
        if isinstance(values[name], bool):
            values[name] = value in ("true", "1")
        else:
            values[name] = type(values[name])(value)
    return values


def payload(size):
    return messages.Payload(body=bytes(size))
