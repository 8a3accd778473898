"""grpcio as a client of a Tern server's grpc.channelz.v1.Channelz (test_grpcio_services.c), by
generic calls; the message classes come from protoc's own Python generator.

  grpcio_channelz.py PB2_DIR TARGET

Prints "ok NAME" for each case.
"""

import socket
import sys
import time

import grpc

sys.path.insert(0, sys.argv[1])
from grpc_channelz_v1 import channelz_pb2 as pb  # noqa: E402

PATIENCE = 20
N_CALLS = 9


def main():
    channel = grpc.insecure_channel(sys.argv[2])
    port = int(sys.argv[2].rsplit(":", 1)[1])

    def ask(name, **fields):
        method = channel.unary_unary(f"/grpc.channelz.v1.Channelz/{name}",
                                     getattr(pb, name + "Request").SerializeToString,
                                     getattr(pb, name + "Response").FromString)
        return method(getattr(pb, name + "Request")(**fields), timeout=PATIENCE)

    def the_server():
        answer = ask("GetServers")
        assert answer.end and len(answer.server) == 1, answer
        return answer.server[0]

    def case_server():
        before = the_server()
        for _ in range(N_CALLS):
            ask("GetServers", max_results=1)
        after = ask("GetServer", server_id=before.ref.server_id).server
        # The first GetServers had begun and not ended when it looked.
        assert after.data.calls_started - before.data.calls_started == N_CALLS + 1, (before, after)
        assert after.data.calls_succeeded - before.data.calls_succeeded == N_CALLS + 1, (before, after)
        assert after.data.calls_failed == 0, after
        assert abs(after.data.last_call_started_timestamp.ToSeconds() - time.time()) < 60
        assert len(after.listen_socket) == 1 and after.data.trace.num_events_logged >= 1

    def case_sockets():
        refs = ask("GetServerSockets", server_id=the_server().ref.server_id)
        assert refs.end and len(refs.socket_ref) == 1, refs
        found = ask("GetSocket", socket_id=refs.socket_ref[0].socket_id).socket
        assert found.local.tcpip_address.port == port, found
        assert socket.inet_ntop(socket.AF_INET, found.remote.tcpip_address.ip_address) == "127.0.0.1"
        assert found.data.streams_started > N_CALLS and found.data.streams_failed == 0, found
        assert found.data.messages_received == found.data.streams_started, found
        assert found.data.local_flow_control_window.value > 0, found
        info = pb.SocketOptionTcpInfo()
        assert found.data.option[0].additional.Unpack(info) and info.tcpi_snd_mss > 0, found

    def case_channel():
        tops = ask("GetTopChannels")
        assert tops.end and len(tops.channel) == 1, tops
        top = ask("GetChannel", channel_id=tops.channel[0].ref.channel_id).channel
        assert top.data.target.endswith(":1"), top
        assert top.data.state.state == pb.ChannelConnectivityState.TRANSIENT_FAILURE, top
        assert top.data.calls_failed == 1, top
        sub = ask("GetSubchannel", subchannel_id=top.subchannel_ref[0].subchannel_id).subchannel
        assert sub.data.trace.events[0].severity == pb.ChannelTraceEvent.CT_WARNING, sub

    def case_not_found():
        for name, field in (("GetServer", "server_id"), ("GetChannel", "channel_id"),
                            ("GetSubchannel", "subchannel_id"), ("GetSocket", "socket_id"),
                            ("GetServerSockets", "server_id")):
            for number in (0, -1, 2**62):
                try:
                    ask(name, **{field: number})
                    raise AssertionError(f"{name} of {number} was answered")
                except grpc.RpcError as e:
                    assert e.code() == grpc.StatusCode.NOT_FOUND, (name, e)

    for case in (case_server, case_sockets, case_channel, case_not_found):
        case()
        print("ok", case.__name__, flush=True)


main()
