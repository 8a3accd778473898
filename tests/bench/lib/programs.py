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

# What a client does against failures, as tern-bench calls it.
NONE, ALL = "none", "all"
RESILIENCE = [NONE, ALL]

# Streams: kinds as tern-bench calls them, sizes of a message in bytes.
PING_PONG, FROM_SERVER = "ping-pong", "from-server"
FROM_CLIENT, BOTH_WAYS = "from-client", "both-ways"
SMALL, LARGE = 16, 1000000
IDLE_CONNECTIONS = 5000


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

    def stream_server(self, name, tls=None):
        """Tern's or grpc++'s; with the certificates in the folder `tls`."""
        if name == TERN:
            files = ["--tls-cert", tls / "cert.pem", "--tls-key", tls / "key.pem"] if tls else []
            return self.servers()[TERN] + files
        files = [tls / "cert.pem", tls / "key.pem"] if tls else []
        return [self.peers / "grpcxx-stream-server", ANY_PORT, *files]

    def stream(self, name, address, kind, size, seconds, pid):
        """One stream on one connection."""
        if name == TERN:
            return [self.tern, "stream", "--target", address, "--kind", kind, "--size", size,
                    "--seconds", seconds, "--server-pid", pid, "--json"]
        return [self.peers / "grpcxx-stream-client", address, kind, size, seconds, pid]

    def idle(self, address, pid, tls=None):
        return [self.tern, "idle", "--target", address, "--connections", IDLE_CONNECTIONS,
                "--server-pid", pid, "--json", *self.roots(tls)]

    @staticmethod
    def roots(tls):
        return ["--tls-roots", tls / "cert.pem"] if tls else []

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

    def resilience_load(self, what, address, seconds, pid):
        """What deadlines, retries and breakers cost: `what` is "none" or "all"."""
        return self.tern_load(address, 10, 100, seconds, pid) + ["--resilience", what]

    def tls_load(self, address, size, seconds, pid, tls):
        """Ten connections; of small calls ten at once on each, of large ones one. `size` both
        ways."""
        return (self.tern_load(address, 10, 100 if size < LARGE else 10, seconds, pid) +
                ["--request-size", size, "--response-size", size, *self.roots(tls)])

    def latency(self, client, address, count):
        if client == BARE:  # for a second, whatever the count
            return [self.peers / "nghttp2-load", address, 1, 1, 1, 0]
        if client == TERN:
            return [self.tern, "latency", "--target", address, "--count", count, "--json"]
        return [self.peers / "grpcxx-client", address, count]
