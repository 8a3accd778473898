"""The interop client of grpc doc/interop-test-descriptions.md on Debian's grpcio. Runs one case; the exit
status is 0 when it holds. grpcio neither tells whether a message came compressed nor sends single
messages of a stream uncompressed: of the compression cases there is client_compressed_unary."""

import os
import queue
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import interop_pb as pb  # noqa: E402
import grpc  # noqa: E402

TIMEOUT = 30
LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159
REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)
STATUS_MESSAGE = "test status message"
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def check_payload(response, size):
    check(response.payload.body == bytes(size),
          f"payload of {len(response.payload.body)} bytes instead of {size} zeros")


class Stub:
    """One callable for each method of the service."""

    def __init__(self, channel, service=pb.SERVICE):
        for name, (kind_in, kind_out, request, response) in pb.METHODS.items():
            make = getattr(channel, f"{kind_in}_{kind_out}")
            setattr(self, name, make(f"/{service}/{name}",
                                     request_serializer=request.SerializeToString,
                                     response_deserializer=response.FromString))


class Feed:
    """An iterator of requests that the case fills step by step."""

    def __init__(self):
        self.queue = queue.Queue()

    def __iter__(self):
        return iter(self.queue.get, None)

    def send(self, request):
        self.queue.put(request)

    def close(self):
        self.queue.put(None)


def output_request(payload_size, *sizes):
    request = pb.messages.StreamingOutputCallRequest(
        response_parameters=[pb.messages.ResponseParameters(size=s) for s in sizes])
    if payload_size:
        request.payload.CopyFrom(pb.payload(payload_size))
    return request


def large_request(**more):
    return pb.messages.SimpleRequest(response_size=LARGE_RESPONSE, payload=pb.payload(LARGE_REQUEST),
                                     **more)


def expect_code(call, code, message=None):
    try:
        call()
    except grpc.RpcError as error:
        check(error.code() == code, f"{error.code()} ({error.details()}) instead of {code}")
        if message is not None:
            check(error.details() == message, f"message {error.details()!r}, not {message!r}")
        return
    check(False, f"the call succeeded; {code} is due")


def empty_unary(stub, _):
    check(stub.EmptyCall(pb.empty.Empty(), timeout=TIMEOUT) is not None, "no response")


def large_unary(stub, _):
    check_payload(stub.UnaryCall(large_request(), timeout=TIMEOUT), LARGE_RESPONSE)


def client_streaming(stub, _):
    requests = (pb.messages.StreamingInputCallRequest(payload=pb.payload(s)) for s in REQUEST_SIZES)
    total = stub.StreamingInputCall(requests, timeout=TIMEOUT).aggregated_payload_size
    check(total == 74922, f"aggregated_payload_size is {total}")


def server_streaming(stub, _):
    got = list(stub.StreamingOutputCall(output_request(0, *RESPONSE_SIZES), timeout=TIMEOUT))
    check(len(got) == len(RESPONSE_SIZES), f"{len(got)} responses")
    for response, size in zip(got, RESPONSE_SIZES):
        check_payload(response, size)


def ping_pong(stub, _):
    feed = Feed()
    call = stub.FullDuplexCall(iter(feed), timeout=TIMEOUT)
    for request_size, response_size in zip(REQUEST_SIZES, RESPONSE_SIZES):
        feed.send(output_request(request_size, response_size))
        check_payload(next(call), response_size)
    feed.close()
    check(list(call) == [], "a response too many")
    check(call.code() == grpc.StatusCode.OK, call.code())


def empty_stream(stub, _):
    check(list(stub.FullDuplexCall(iter(()), timeout=TIMEOUT)) == [], "a response came")


def client_compressed_unary(stub, _):
    def call(claim, really):
        request = large_request(expect_compressed=pb.messages.BoolValue(value=claim))
        compression = grpc.Compression.Gzip if really else grpc.Compression.NoCompression
        return stub.UnaryCall(request, timeout=TIMEOUT, compression=compression)

    expect_code(lambda: call(True, False), grpc.StatusCode.INVALID_ARGUMENT)
    check_payload(call(True, True), LARGE_RESPONSE)
    check_payload(call(False, False), LARGE_RESPONSE)


def custom_metadata(stub, _):
    initial, trailing = "test_initial_metadata_value", b"\xab\xab\xab"
    metadata = ((pb.ECHO_INITIAL, initial), (pb.ECHO_TRAILING, trailing))

    def look(call):
        check((pb.ECHO_INITIAL, initial) in call.initial_metadata(), "not in initial metadata")
        check((pb.ECHO_TRAILING, trailing) in call.trailing_metadata(), "not in trailing metadata")

    response, call = stub.UnaryCall.with_call(large_request(), metadata=metadata, timeout=TIMEOUT)
    check_payload(response, LARGE_RESPONSE)
    look(call)
    call = stub.FullDuplexCall(iter((output_request(LARGE_REQUEST, LARGE_RESPONSE),)),
                               metadata=metadata, timeout=TIMEOUT)
    check_payload(next(call), LARGE_RESPONSE)
    check(list(call) == [], "a response too many")
    look(call)


def status_code_and_message(stub, _):
    status = pb.messages.EchoStatus(code=2, message=STATUS_MESSAGE)
    unary = pb.messages.SimpleRequest(response_status=status)
    duplex = pb.messages.StreamingOutputCallRequest(response_status=status)
    code = grpc.StatusCode.UNKNOWN
    expect_code(lambda: stub.UnaryCall(unary, timeout=TIMEOUT), code, STATUS_MESSAGE)
    expect_code(lambda: list(stub.FullDuplexCall(iter((duplex,)), timeout=TIMEOUT)), code,
                STATUS_MESSAGE)


def special_status_message(stub, _):
    request = pb.messages.SimpleRequest(
        response_status=pb.messages.EchoStatus(code=2, message=SPECIAL_MESSAGE))
    expect_code(lambda: stub.UnaryCall(request, timeout=TIMEOUT), grpc.StatusCode.UNKNOWN,
                SPECIAL_MESSAGE)


def unimplemented_method(stub, _):
    expect_code(lambda: stub.UnimplementedCall(pb.empty.Empty(), timeout=TIMEOUT),
                grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(stub, flags):
    with channel_of(flags) as channel:
        other = Stub(channel, "grpc.testing.UnimplementedService")
        expect_code(lambda: other.UnimplementedCall(pb.empty.Empty(), timeout=TIMEOUT),
                    grpc.StatusCode.UNIMPLEMENTED)


def cancel_after_begin(stub, _):
    feed = Feed()
    call = stub.StreamingInputCall.future(iter(feed), timeout=TIMEOUT)
    call.cancel()
    feed.close()
    check(call.cancelled() and call.code() == grpc.StatusCode.CANCELLED, call.code())


def cancel_after_first_response(stub, _):
    feed = Feed()
    call = stub.FullDuplexCall(iter(feed), timeout=TIMEOUT)
    feed.send(output_request(REQUEST_SIZES[0], RESPONSE_SIZES[0]))
    check_payload(next(call), RESPONSE_SIZES[0])
    call.cancel()
    feed.close()
    expect_code(lambda: next(call), grpc.StatusCode.CANCELLED)


def timeout_on_sleeping_server(stub, _):
    feed = Feed()
    feed.send(output_request(REQUEST_SIZES[0]))
    call = stub.FullDuplexCall(iter(feed), timeout=0.001)
    expect_code(lambda: list(call), grpc.StatusCode.DEADLINE_EXCEEDED)
    feed.close()


def soak(flags, iteration):
    ends = time.monotonic() + flags["soak_overall_timeout_seconds"]
    failures = done = 0
    for done in range(1, flags["soak_iterations"] + 1):
        began = time.monotonic()
        check(began < ends, f"only {done - 1} iterations within the time")
        try:
            iteration()
            took = (time.monotonic() - began) * 1000
            limit = flags["soak_per_iteration_max_acceptable_latency_ms"]
            check(took <= limit, f"took {took:.0f} ms")
        except (AssertionError, grpc.RpcError) as error:
            print(f"iteration {done}: {error}", file=sys.stderr)
            failures += 1
    print(f"{done} iterations, {failures} failures")
    check(failures <= flags["soak_max_failures"], f"{failures} failures")


def rpc_soak(stub, flags):
    soak(flags, lambda: large_unary(stub, flags))


def channel_soak(_, flags):
    def iteration():
        with channel_of(flags) as channel:
            large_unary(Stub(channel), flags)

    soak(flags, iteration)


def channel_of(flags):
    target = f"{flags['server_host']}:{flags['server_port']}"
    # Without it all channels of a process to one address share a connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    if not flags["use_tls"]:
        return grpc.insecure_channel(target, options=options)
    roots = None
    if flags["use_test_ca"]:
        with open(flags["ca_file"], "rb") as file:
            roots = file.read()
    if flags["server_host_override"]:
        options.append(("grpc.ssl_target_name_override", flags["server_host_override"]))
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(roots), options=options)


def main():
    flags = pb.parse_flags({
        "server_host": "localhost", "server_port": 10000, "server_host_override": "",
        "test_case": "large_unary", "use_tls": False, "use_test_ca": False, "ca_file": "",
        "soak_iterations": 10, "soak_max_failures": 0, "soak_overall_timeout_seconds": 10,
        "soak_per_iteration_max_acceptable_latency_ms": 1000})
    case = globals().get(flags["test_case"])
    if flags["test_case"] not in CASES or not case:
        sys.exit(f"--test_case={flags['test_case']} is not one of: {' '.join(CASES)}")
    threading.current_thread().name = flags["test_case"]
    try:
        with channel_of(flags) as channel:
            case(Stub(channel), flags)
    except (AssertionError, grpc.RpcError) as error:
        sys.exit(f"{flags['test_case']}: {error}")


CASES = ("empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong",
         "empty_stream", "client_compressed_unary", "custom_metadata", "status_code_and_message",
         "special_status_message", "unimplemented_method", "unimplemented_service",
         "cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server",
         "rpc_soak", "channel_soak")

if __name__ == "__main__":
    main()
