"""grpcio as a client of a Tern server's grpc.health.v1.Health (test_grpcio_services.c), by generic
calls; the message classes come from protoc's own Python generator.

  grpcio_health.py PB2_DIR TARGET

Prints "ok NAME" for each case. Between some of them it asks for a change: it prints "set SERVICE
STATUS" or "drain", and the server does so.
"""

import sys
import threading

import grpc

sys.path.insert(0, sys.argv[1])
from grpc_health_v1 import health_pb2 as pb  # noqa: E402

S = pb.HealthCheckResponse
PREFIX = "/grpc.health.v1.Health/"
PATIENCE = 20


def ask(line):
    print(line, flush=True)


def main():
    channel = grpc.insecure_channel(sys.argv[2])
    check = channel.unary_unary(PREFIX + "Check", pb.HealthCheckRequest.SerializeToString, S.FromString)
    list_all = channel.unary_unary(PREFIX + "List", pb.HealthListRequest.SerializeToString,
                                   pb.HealthListResponse.FromString)
    watch = channel.unary_stream(PREFIX + "Watch", pb.HealthCheckRequest.SerializeToString, S.FromString)

    def case_check():
        assert check(pb.HealthCheckRequest(), timeout=PATIENCE).status == S.SERVING
        try:
            check(pb.HealthCheckRequest(service="who"), timeout=PATIENCE)
            raise AssertionError("an unknown service was answered")
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.NOT_FOUND, e

    def case_list():
        statuses = list_all(pb.HealthListRequest(), timeout=PATIENCE).statuses
        assert {k: v.status for k, v in statuses.items()} == {"": S.SERVING, "a.B": S.NOT_SERVING}, statuses

    def case_watch():
        stream = watch(pb.HealthCheckRequest(service="new"), timeout=PATIENCE)
        assert next(stream).status == S.SERVICE_UNKNOWN
        ask("set new 1")
        assert next(stream).status == S.SERVING
        ask("set new 2")
        assert next(stream).status == S.NOT_SERVING
        stream.cancel()

    def case_watch_many():
        streams = [watch(pb.HealthCheckRequest(service="many"), timeout=PATIENCE) for _ in range(50)]
        for stream in streams:
            assert next(stream).status == S.SERVICE_UNKNOWN
        ask("set many 1")
        for stream in streams:
            assert next(stream).status == S.SERVING
            stream.cancel()

    def case_drain():
        """Two threads read, as programs do; both are told, and their streams end."""
        ends = []

        def follow():
            seen = []
            try:
                for answer in watch(pb.HealthCheckRequest(), timeout=PATIENCE):
                    seen.append(answer.status)
                    if len(seen) == 1:
                        ready.release()
            except grpc.RpcError as e:
                seen.append(e.code())
            ends.append(seen)

        ready = threading.Semaphore(0)
        threads = [threading.Thread(target=follow) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert ready.acquire(timeout=PATIENCE)
        ask("drain")
        for thread in threads:
            thread.join(PATIENCE)
        assert ends == [[S.SERVING, S.NOT_SERVING, grpc.StatusCode.UNAVAILABLE]] * 2, ends

    for case in (case_check, case_list, case_watch, case_watch_many, case_drain):
        case()
        print("ok", case.__name__, flush=True)


main()
