"""grpcio as the peer of a Tern program (test_grpcio.c): the other half of every interop case.

  grpcio_peer.py serve PB2_DIR            serves tests.v1.Probe, prints its port
  grpcio_peer.py call PB2_DIR TARGET      calls a Tern server; prints "ok NAME" for each case
"""

import concurrent.futures
import signal
import sys
import threading
import time

import grpc

sys.path.insert(0, sys.argv[2])
from tests.v1 import probe_pb2 as pb  # noqa: E402

PREFIX = "/tests.v1.Probe/"
TYPES = {
    "Echo": (pb.EchoRequest, pb.EchoResponse),
    "Fail": (pb.FailRequest, pb.Empty),
    "Sleep": (pb.SleepRequest, pb.SleepResponse),
    "Nothing": (pb.Empty, pb.Empty),
    "Grow": (pb.Tree, pb.Tree),
    "Unserved": (pb.Empty, pb.Empty),
}
MESSAGE = "\t100% sûr\r\n <ß🚁> %41"
MIB = 1024 * 1024


# --- server ---------------------------------------------------------------------------------------

def echo(request, context):
    initial, trailing = [], []
    for key, value in context.invocation_metadata():
        if key.startswith("x-echo-"):
            initial.append((key, value))
        elif key.startswith("x-trail-"):
            trailing.append((key, value))
    for key, value in context.invocation_metadata():
        if key == "x-compress":
            context.set_compression({"gzip": grpc.Compression.Gzip,
                                     "deflate": grpc.Compression.Deflate}[value])
    context.send_initial_metadata(initial)
    context.set_trailing_metadata(trailing)
    payload = bytes(request.answer_bytes) if request.answer_bytes else request.payload
    return pb.EchoResponse(payload=payload, text=request.text)


def fail(request, context):
    context.set_trailing_metadata((("x-why", "told to"), ("x-why-bin", b"\0\xff")))
    if request.code:
        codes = {c.value[0]: c for c in grpc.StatusCode}
        context.abort(codes[request.code], request.message)
    return pb.Empty()


def sleep(request, context):
    remaining = context.time_remaining()
    ended = threading.Event()
    context.add_callback(ended.set)
    if ended.wait(request.sleep_ms / 1000):
        sleep.cancelled += 1
    # Without a deadline grpcio says None or a span beyond every calendar.
    endless = remaining is None or remaining > 1e9
    return pb.SleepResponse(remaining_ms=-1 if endless else int(remaining * 1000))


sleep.cancelled = 0


def nothing(request, context):
    """Tells, as metadata, how many sleeps saw their call end early."""
    context.send_initial_metadata((("x-cancelled", str(sleep.cancelled)),))
    return pb.Empty()


def serve():
    def method(name, fn):
        request, response = TYPES[name]
        return grpc.unary_unary_rpc_method_handler(
            fn, request_deserializer=request.FromString,
            response_serializer=response.SerializeToString)

    handler = grpc.method_handlers_generic_handler("tests.v1.Probe", {
        "Echo": method("Echo", echo), "Fail": method("Fail", fail),
        "Sleep": method("Sleep", sleep), "Nothing": method("Nothing", nothing),
        "Grow": method("Grow", lambda request, context: request),
    })
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32),
                         options=[("grpc.max_concurrent_streams", 4)])
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    done.wait()
    server.stop(5).wait()


# --- client ---------------------------------------------------------------------------------------

class Client:
    def __init__(self, target, options=()):
        self.channel = grpc.insecure_channel(target, options=options)

    def stub(self, name):
        request, response = TYPES.get(name, (pb.Empty, pb.Empty))
        return self.channel.unary_unary(PREFIX + name,
                                        request_serializer=request.SerializeToString,
                                        response_deserializer=response.FromString)

    def error(self, name, request, **kwargs):
        try:
            self.stub(name)(request, timeout=kwargs.pop("timeout", 10), **kwargs)
        except grpc.RpcError as e:
            return e
        raise AssertionError("%s did not fail" % name)


def case_unary(c):
    reply = c.stub("Echo")(pb.EchoRequest(payload=b"\0\1\xff", text="Grüße 🚁"), timeout=10)
    assert reply.payload == b"\0\1\xff" and reply.text == "Grüße 🚁", reply


def case_empty_message(c):
    assert c.stub("Nothing")(pb.Empty(), timeout=10) == pb.Empty()


def case_nested_message(c):
    tree = pb.Tree(name="root")
    node = tree
    for i in range(90):
        node = node.children.add(name=str(i))
    assert c.stub("Grow")(tree, timeout=10) == tree
    for i in range(20):
        node = node.children.add(name="too deep")
    e = c.error("Grow", tree)
    assert e.code() == grpc.StatusCode.INTERNAL and "nested" in e.details(), e


def case_metadata(c):
    blob = bytes(range(256))
    sent = (("x-echo-a", "one"), ("x-echo-a", "two, three"), ("x-echo-b-bin", blob),
            ("x-echo-none-bin", b""), ("x-trail-c", "last ~!"), ("x-trail-d-bin", b"\0"))
    _, call = c.stub("Echo").with_call(pb.EchoRequest(), metadata=sent, timeout=10)
    initial = [tuple(m) for m in call.initial_metadata() if m[0].startswith("x-")]
    trailing = [tuple(m) for m in call.trailing_metadata() if m[0].startswith("x-")]
    assert initial == list(sent[:4]), initial
    assert trailing == list(sent[4:]), trailing


def case_metadata_of_a_failure(c):
    e = c.error("Fail", pb.FailRequest(code=9, message="no"), metadata=(("x-trail-c", "why"),))
    assert e.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert ("x-trail-c", "why") in [tuple(m) for m in e.trailing_metadata()], e.trailing_metadata()


def case_codes(c):
    for code in grpc.StatusCode:
        number = code.value[0]
        if number == 0:
            c.stub("Fail")(pb.FailRequest(code=0), timeout=10)
            continue
        e = c.error("Fail", pb.FailRequest(code=number, message=MESSAGE))
        assert e.code() == code and e.details() == MESSAGE, (e.code(), e.details())
        e = c.error("Fail", pb.FailRequest(code=number))
        assert e.code() == code and e.details() == "", (e.code(), e.details())


def case_deadline(c):
    began = time.monotonic()
    e = c.error("Sleep", pb.SleepRequest(sleep_ms=20000), timeout=0.1)
    assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED, e
    assert time.monotonic() - began < 5
    left = c.stub("Sleep")(pb.SleepRequest(sleep_ms=1), timeout=30).remaining_ms
    assert 20000 < left <= 30100, left
    assert c.stub("Sleep")(pb.SleepRequest(sleep_ms=1)).remaining_ms == -1


def case_large_message(c):
    blob = bytes(range(256)) * 4096
    assert c.stub("Echo")(pb.EchoRequest(payload=blob), timeout=10).payload == blob


def case_beyond_the_limits(c):
    e = c.error("Echo", pb.EchoRequest(payload=bytes(5 * MIB)))
    assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e
    assert "limit" in e.details(), e.details()
    e = c.error("Echo", pb.EchoRequest(answer_bytes=5 * MIB))
    assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e
    case_unary(c)


def case_unknown_names(c):
    assert c.error("Nope", pb.Empty()).code() == grpc.StatusCode.UNIMPLEMENTED
    e = c.error("Unserved", pb.Empty())
    assert e.code() == grpc.StatusCode.UNIMPLEMENTED and "Unserved" in e.details(), e
    call = c.channel.unary_unary("/no.Such/Service", lambda m: b"", lambda b: b)
    try:
        call(None, timeout=10)
        raise AssertionError("an unknown service answered")
    except grpc.RpcError as e:
        assert e.code() == grpc.StatusCode.UNIMPLEMENTED and "no.Such" in e.details(), e


def case_broken_message(c):
    call = c.channel.unary_unary(PREFIX + "Echo", lambda m: m, lambda b: b)
    for body in (b"\x12\x05ab", b"\x12\x03a\0b", b"\x12\x01\xff", b"\x0b\x0c"):
        try:
            call(body, timeout=10)
            raise AssertionError("%r was answered" % body)
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.INTERNAL, e


def case_cancel(c):
    future = c.stub("Sleep").future(pb.SleepRequest(sleep_ms=20000), timeout=30)
    time.sleep(0.05)
    future.cancel()
    try:
        future.result()
        raise AssertionError("a cancelled call answered")
    except (grpc.RpcError, grpc.FutureCancelledError):
        pass
    case_unary(c)


def case_many_on_one_connection(c):
    """The Tern server allows 8 streams here."""
    futures = [c.stub("Sleep").future(pb.SleepRequest(sleep_ms=5), timeout=30) for _ in range(200)]
    for f in futures:
        f.result()


def case_compression(c):
    """Both of grpcio's encodings there, all of Tern's back; zstd is none of grpcio's."""
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip,
                        grpc.Compression.Deflate):
        for back in ("identity", "gzip", "deflate", "zstd"):
            payload = bytes(range(256)) * 400
            response, done = c.stub("Echo").with_call(
                pb.EchoRequest(payload=payload), timeout=10, compression=compression,
                metadata=(("x-encoding", back),))
            assert response.payload == payload
            seen = dict(done.initial_metadata())
            compressed = compression != grpc.Compression.NoCompression
            assert seen["x-came"] == ("compressed" if compressed else "plain"), seen
            assert seen["x-accepted"] == ("no" if back == "zstd" else "yes"), seen


def case_compression_limit(c):
    """5 MiB of zeros in 5 KB: the limit holds for what comes out."""
    try:
        c.stub("Echo")(pb.EchoRequest(payload=bytes(5 * MIB)), timeout=10,
                       compression=grpc.Compression.Gzip)
        raise AssertionError("a request beyond the limit was answered")
    except grpc.RpcError as e:
        assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e
        assert "decompresses to more" in e.details(), e


def call():
    c = Client(sys.argv[3], [("grpc.max_receive_message_length", 4 * MIB)])
    for name, case in sorted(globals().items()):
        if name.startswith("case_"):
            case(c)
            print("ok", name, flush=True)


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]]()
