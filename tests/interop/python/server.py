"""The interop server of grpc doc/interop-test-descriptions.md on Debian's grpcio. grpcio does not tell a
handler whether a message came compressed, so expect_compressed is not looked at."""

import concurrent.futures
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import interop_pb as pb  # noqa: E402
import grpc  # noqa: E402

CODES = {c.value[0]: c for c in grpc.StatusCode}


def echo_metadata(context):
    for key, value in context.invocation_metadata():
        if key == pb.ECHO_INITIAL:
            context.send_initial_metadata(((key, value),))
        elif key == pb.ECHO_TRAILING:
            context.set_trailing_metadata(((key, value),))


def echo_status(request, context):
    if request.HasField("response_status") and request.response_status.code:
        context.abort(CODES[request.response_status.code], request.response_status.message)


def empty_call(request, context):
    echo_metadata(context)
    return pb.empty.Empty()


def unary_call(request, context):
    if request.response_compressed.value:
        context.set_compression(grpc.Compression.Gzip)
    echo_metadata(context)
    echo_status(request, context)
    return pb.messages.SimpleResponse(payload=pb.payload(request.response_size))


def cacheable_unary_call(request, context):
    context.send_initial_metadata((("cache-control", "max-age=60, public"),))
    body = str(time.time_ns()).encode()
    return pb.messages.SimpleResponse(payload=pb.messages.Payload(body=body))


def answers(request, context):
    for parameters in request.response_parameters:
        time.sleep(parameters.interval_us / 1e6)
        if not parameters.compressed.value:
            context.disable_next_message_compression()
        yield pb.messages.StreamingOutputCallResponse(payload=pb.payload(parameters.size))


def streaming_output_call(request, context):
    if any(p.compressed.value for p in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)
    echo_metadata(context)
    echo_status(request, context)
    yield from answers(request, context)


def streaming_input_call(requests, context):
    echo_metadata(context)
    total = sum(len(r.payload.body) for r in requests)
    return pb.messages.StreamingInputCallResponse(aggregated_payload_size=total)


def full_duplex_call(requests, context):
    echo_metadata(context)
    for request in requests:
        echo_status(request, context)
        yield from answers(request, context)


def half_duplex_call(requests, context):
    echo_metadata(context)
    for request in list(requests):
        yield from answers(request, context)


HANDLERS = {
    "EmptyCall": empty_call,
    "UnaryCall": unary_call,
    "CacheableUnaryCall": cacheable_unary_call,
    "StreamingOutputCall": streaming_output_call,
    "StreamingInputCall": streaming_input_call,
    "FullDuplexCall": full_duplex_call,
    "HalfDuplexCall": half_duplex_call,
}


def service():
    handlers = {}
    for name, handler in HANDLERS.items():
        request_kind, response_kind, request, response = pb.METHODS[name]
        make = getattr(grpc, f"{request_kind}_{response_kind}_rpc_method_handler")
        handlers[name] = make(handler, request_deserializer=request.FromString,
                              response_serializer=response.SerializeToString)
    return grpc.method_handlers_generic_handler(pb.SERVICE, handlers)


def main():
    flags = pb.parse_flags({"port": 10000, "use_tls": False, "tls_cert_file": "",
                            "tls_key_file": ""})
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=32),
                         options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((service(),))
    address = f"127.0.0.1:{flags['port']}"
    if flags["use_tls"]:
        with open(flags["tls_key_file"], "rb") as key, open(flags["tls_cert_file"], "rb") as chain:
            credentials = grpc.ssl_server_credentials(((key.read(), chain.read()),))
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    print(f"listening on port {port}", flush=True)
    stop.wait()
    server.stop(1).wait()


if __name__ == "__main__":
    main()
