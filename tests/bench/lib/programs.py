"""Which programs are measured, and how each is called."""

# Bytes of one unary exchange (see tests/bench/peers/raw_pingpong.c).
UP_BYTES = 163
DOWN_BYTES = 153
ANY_PORT = "ipv4:127.0.0.1:0"

RAW = "raw TCP"
BARE = "bare nghttp2"
TERN = "Tern"
SYNC, CALLBACK, ASYNC = "grpc++ sync", "grpc++ callback", "grpc++ async"
GRPCXX = "grpc++"


class Programs:
    """The command lines, for one build folder."""

    def __init__(self, build):
        self.build = build
        self.peers = build / "bench-peers"
        self.tern = build / "bin" / "tern-bench"

    def servers(self):
        """Name to command line, in the order of the tables."""
        grpcxx = self.peers / "grpcxx-server"
        return {
            TERN: [self.tern, "server", "--listen", ANY_PORT, "--threads", 1],
            ASYNC: [grpcxx, "async", ANY_PORT],
            CALLBACK: [grpcxx, "callback", ANY_PORT],
            SYNC: [grpcxx, "sync", ANY_PORT],
            BARE: [self.peers / "nghttp2-server", ANY_PORT],
        }

    def raw_server(self):
        return [self.peers / "raw-pingpong", "server", ANY_PORT, UP_BYTES, DOWN_BYTES]

    def raw_client(self, address, count):
        return [self.peers / "raw-pingpong", "client", address, UP_BYTES, DOWN_BYTES, count]

    def load(self, address, seconds, pid):
        """The head load: 10 connections x 10 streams, closed loop, every answer checked."""
        return [self.peers / "nghttp2-load", address, 10, 10, seconds, pid]

    def tern_load(self, address, connections, callers, seconds, pid):
        return [self.tern, "load", "--target", address, "--connections", connections,
                "--concurrency", callers, "--duration", seconds, "--server-pid", pid, "--json"]

    def latency(self, client, address, count):
        if client == BARE:  # for a second, whatever the count
            return [self.peers / "nghttp2-load", address, 1, 1, 1, 0]
        if client == TERN:
            return [self.tern, "latency", "--target", address, "--count", count, "--json"]
        return [self.peers / "grpcxx-client", address, count]
