// The interop client of grpc doc/interop-test-descriptions.md on Debian's grpc++, with the official flags.
// Runs one case; the exit status is 0 when it holds.
#include <chrono>
#include <functional>
#include <vector>

#include "common.h"

using namespace grpc::testing;
using grpc::ClientContext;
using grpc::Status;
using grpc::StatusCode;
using Clock = std::chrono::steady_clock;

namespace
{

constexpr int large_request = 271828, large_response = 314159;
const std::vector<int> request_sizes = { 27182, 8, 1828, 45904 };
const std::vector<int> response_sizes = { 31415, 9, 2653, 58979 };
const char status_message[] = "test status message";
const char special_message[] =
    "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n";

// What a case asserts and does not find.
struct Failure {
    std::string what;
};

void check(bool holds, const std::string &what)
{
    if (!holds)
        throw Failure{ what };
}

void check_status(const Status &status, StatusCode code = StatusCode::OK,
                  const char *message = nullptr)
{
    check(status.error_code() == code, "status " + std::to_string(status.error_code()) + " (" +
                                           status.error_message() + ") instead of " +
                                           std::to_string(code));
    check(!message || status.error_message() == message,
          "message \"" + status.error_message() + "\"");
}

template <class Response> void check_payload(const Response &response, int size)
{
    check(response.payload().body() == zeros(size),
          "payload of " + std::to_string(response.payload().body().size()) + " bytes instead of " +
              std::to_string(size) + " zeros");
}

// Every call but those of the soak cases.
struct Context : ClientContext {
    Context() { set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30)); }
};

SimpleRequest make_large()
{
    SimpleRequest request;
    request.set_response_size(large_response);
    request.mutable_payload()->set_body(zeros(large_request));
    return request;
}

StreamingOutputCallRequest output_request(int payload, const std::vector<int> &sizes)
{
    StreamingOutputCallRequest request;
    if (payload)
        request.mutable_payload()->set_body(zeros(payload));
    for (int size : sizes)
        request.add_response_parameters()->set_size(size);
    return request;
}

using Stub = TestService::Stub;

std::shared_ptr<grpc::Channel> channel_of(const Flags &flags)
{
    grpc::ChannelArguments args;
    // Without it all channels of a process to one address share a connection.
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
    if (flags.on("use_tls")) {
        grpc::SslCredentialsOptions options;
        if (flags.on("use_test_ca"))
            options.pem_root_certs = read_file(flags.text("ca_file"));
        if (!flags.text("server_host_override").empty())
            args.SetSslTargetNameOverride(flags.text("server_host_override"));
        credentials = grpc::SslCredentials(options);
    }
    return grpc::CreateCustomChannel(flags.text("server_host") + ":" + flags.text("server_port"),
                                     credentials, args);
}

void empty_unary(Stub &stub, const Flags &)
{
    Context context;
    Empty response;
    check_status(stub.EmptyCall(&context, Empty(), &response));
}

void large_unary(Stub &stub, const Flags &)
{
    Context context;
    SimpleResponse response;
    check_status(stub.UnaryCall(&context, make_large(), &response));
    check_payload(response, large_response);
}

void client_compressed_unary(Stub &stub, const Flags &)
{
    struct {
        bool claim, really;
        StatusCode code;
    } const calls[] = { { true, false, StatusCode::INVALID_ARGUMENT },
                        { true, true, StatusCode::OK },
                        { false, false, StatusCode::OK } };
    for (const auto &call : calls) {
        Context context;
        SimpleRequest request = make_large();
        SimpleResponse response;
        request.mutable_expect_compressed()->set_value(call.claim);
        context.set_compression_algorithm(call.really ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_NONE);
        check_status(stub.UnaryCall(&context, request, &response), call.code);
        if (call.code == StatusCode::OK)
            check_payload(response, large_response);
    }
}

void server_compressed_unary(Stub &stub, const Flags &)
{
    for (bool wanted : { true, false }) {
        Context context;
        SimpleRequest request = make_large();
        SimpleResponse response;
        request.mutable_response_compressed()->set_value(wanted);
        check_status(stub.UnaryCall(&context, request, &response));
        check(InteropClientContextInspector::compressed(context) == wanted,
              wanted ? "the response came uncompressed" : "the response came compressed");
        check_payload(response, large_response);
    }
}

void client_streaming(Stub &stub, const Flags &)
{
    Context context;
    StreamingInputCallResponse response;
    auto writer = stub.StreamingInputCall(&context, &response);
    for (int size : request_sizes) {
        StreamingInputCallRequest request;
        request.mutable_payload()->set_body(zeros(size));
        check(writer->Write(request), "a write failed");
    }
    writer->WritesDone();
    check_status(writer->Finish());
    check(response.aggregated_payload_size() == 74922, "aggregated_payload_size is wrong");
}

void client_compressed_streaming(Stub &stub, const Flags &)
{
    auto send = [](grpc::ClientWriter<StreamingInputCallRequest> &writer, int size, bool claim,
                   bool really) {
        StreamingInputCallRequest request;
        grpc::WriteOptions options;
        request.mutable_payload()->set_body(zeros(size));
        request.mutable_expect_compressed()->set_value(claim);
        if (!really)
            options.set_no_compression();
        writer.Write(request, options);
    };
    {
        Context context;
        StreamingInputCallResponse response;
        context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
        auto writer = stub.StreamingInputCall(&context, &response);
        send(*writer, 27182, true, false);
        writer->WritesDone();
        check_status(writer->Finish(), StatusCode::INVALID_ARGUMENT);
    }
    Context context;
    StreamingInputCallResponse response;
    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    auto writer = stub.StreamingInputCall(&context, &response);
    send(*writer, 27182, true, true);
    send(*writer, 45904, false, false);
    writer->WritesDone();
    check_status(writer->Finish());
    check(response.aggregated_payload_size() == 73086, "aggregated_payload_size is wrong");
}

void server_streaming(Stub &stub, const Flags &)
{
    Context context;
    StreamingOutputCallResponse response;
    auto reader = stub.StreamingOutputCall(&context, output_request(0, response_sizes));
    size_t n = 0;
    for (; reader->Read(&response); n++) {
        check(n < response_sizes.size(), "a response too many");
        check_payload(response, response_sizes[n]);
    }
    check_status(reader->Finish());
    check(n == response_sizes.size(), std::to_string(n) + " responses");
}

void server_compressed_streaming(Stub &stub, const Flags &)
{
    const std::vector<int> sizes = { 31415, 92653 };
    Context context;
    StreamingOutputCallResponse response;
    StreamingOutputCallRequest request = output_request(0, sizes);
    request.mutable_response_parameters(0)->mutable_compressed()->set_value(true);
    request.mutable_response_parameters(1)->mutable_compressed()->set_value(false);
    auto reader = stub.StreamingOutputCall(&context, request);
    size_t n = 0;
    for (; reader->Read(&response); n++) {
        check(n < sizes.size(), "a response too many");
        check_payload(response, sizes[n]);
        check(InteropClientContextInspector::compressed(context) == (n == 0),
              "the compressed flag of response " + std::to_string(n + 1) + " is wrong");
    }
    check_status(reader->Finish());
    check(n == sizes.size(), std::to_string(n) + " responses");
}

void ping_pong(Stub &stub, const Flags &)
{
    Context context;
    StreamingOutputCallResponse response;
    auto stream = stub.FullDuplexCall(&context);
    for (size_t i = 0; i < request_sizes.size(); i++) {
        check(stream->Write(output_request(request_sizes[i], { response_sizes[i] })),
              "a write failed");
        check(stream->Read(&response), "no response");
        check_payload(response, response_sizes[i]);
    }
    stream->WritesDone();
    check(!stream->Read(&response), "a response too many");
    check_status(stream->Finish());
}

void empty_stream(Stub &stub, const Flags &)
{
    Context context;
    StreamingOutputCallResponse response;
    auto stream = stub.FullDuplexCall(&context);
    stream->WritesDone();
    check(!stream->Read(&response), "a response came");
    check_status(stream->Finish());
}

void check_echo(const ClientContext &context)
{
    const auto &initial = context.GetServerInitialMetadata();
    const auto &trailing = context.GetServerTrailingMetadata();
    auto i = initial.find(ECHO_INITIAL);
    auto t = trailing.find(ECHO_TRAILING);
    check(i != initial.end() && i->second == "test_initial_metadata_value",
          "not in initial metadata");
    check(t != trailing.end() && t->second == "\xab\xab\xab", "not in trailing metadata");
}

void custom_metadata(Stub &stub, const Flags &)
{
    {
        Context context;
        SimpleResponse response;
        context.AddMetadata(ECHO_INITIAL, "test_initial_metadata_value");
        context.AddMetadata(ECHO_TRAILING, "\xab\xab\xab");
        check_status(stub.UnaryCall(&context, make_large(), &response));
        check_payload(response, large_response);
        check_echo(context);
    }
    Context context;
    StreamingOutputCallResponse response;
    context.AddMetadata(ECHO_INITIAL, "test_initial_metadata_value");
    context.AddMetadata(ECHO_TRAILING, "\xab\xab\xab");
    auto stream = stub.FullDuplexCall(&context);
    stream->Write(output_request(large_request, { large_response }));
    stream->WritesDone();
    check(stream->Read(&response), "no response");
    check_payload(response, large_response);
    check(!stream->Read(&response), "a response too many");
    check_status(stream->Finish());
    check_echo(context);
}

void status_of_unary(Stub &stub, const char *message)
{
    Context context;
    SimpleRequest request;
    SimpleResponse response;
    request.mutable_response_status()->set_code(StatusCode::UNKNOWN);
    request.mutable_response_status()->set_message(message);
    check_status(stub.UnaryCall(&context, request, &response), StatusCode::UNKNOWN, message);
}

void status_code_and_message(Stub &stub, const Flags &)
{
    Context context;
    StreamingOutputCallRequest request;
    StreamingOutputCallResponse response;
    status_of_unary(stub, status_message);
    auto stream = stub.FullDuplexCall(&context);
    request.mutable_response_status()->set_code(StatusCode::UNKNOWN);
    request.mutable_response_status()->set_message(status_message);
    stream->Write(request);
    stream->WritesDone();
    check(!stream->Read(&response), "a response came");
    check_status(stream->Finish(), StatusCode::UNKNOWN, status_message);
}

void special_status_message(Stub &stub, const Flags &)
{
    status_of_unary(stub, special_message);
}

void unimplemented_method(Stub &stub, const Flags &)
{
    Context context;
    Empty response;
    check_status(stub.UnimplementedCall(&context, Empty(), &response), StatusCode::UNIMPLEMENTED);
}

void unimplemented_service(Stub &, const Flags &flags)
{
    Context context;
    Empty response;
    auto stub = UnimplementedService::NewStub(channel_of(flags));
    check_status(stub->UnimplementedCall(&context, Empty(), &response), StatusCode::UNIMPLEMENTED);
}

void cancel_after_begin(Stub &stub, const Flags &)
{
    Context context;
    StreamingInputCallResponse response;
    auto writer = stub.StreamingInputCall(&context, &response);
    context.TryCancel();
    check_status(writer->Finish(), StatusCode::CANCELLED);
}

void cancel_after_first_response(Stub &stub, const Flags &)
{
    Context context;
    StreamingOutputCallResponse response;
    auto stream = stub.FullDuplexCall(&context);
    stream->Write(output_request(request_sizes[0], { response_sizes[0] }));
    check(stream->Read(&response), "no response");
    check_payload(response, response_sizes[0]);
    context.TryCancel();
    check_status(stream->Finish(), StatusCode::CANCELLED);
}

void timeout_on_sleeping_server(Stub &stub, const Flags &)
{
    ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1));
    auto stream = stub.FullDuplexCall(&context);
    stream->Write(output_request(request_sizes[0], {}));
    check_status(stream->Finish(), StatusCode::DEADLINE_EXCEEDED);
}

void soak(const Flags &flags, const std::function<void()> &iteration)
{
    auto ends = Clock::now() + std::chrono::seconds(flags.number("soak_overall_timeout_seconds"));
    auto limit =
        std::chrono::milliseconds(flags.number("soak_per_iteration_max_acceptable_latency_ms"));
    int failures = 0, n = flags.number("soak_iterations");
    for (int i = 0; i < n; i++) {
        auto began = Clock::now();
        check(began < ends, "only " + std::to_string(i) + " iterations within the time");
        try {
            iteration();
            check(Clock::now() - began <= limit, "took too long");
        } catch (const Failure &failure) {
            fprintf(stderr, "iteration %d: %s\n", i, failure.what.c_str());
            failures++;
        }
    }
    printf("%d iterations, %d failures\n", n, failures);
    check(failures <= flags.number("soak_max_failures"), "too many failures");
}

void rpc_soak(Stub &stub, const Flags &flags)
{
    soak(flags, [&] { large_unary(stub, flags); });
}

void channel_soak(Stub &, const Flags &flags)
{
    soak(flags, [&] { large_unary(*TestService::NewStub(channel_of(flags)), flags); });
}

const std::map<std::string, void (*)(Stub &, const Flags &)> cases = {
    { "empty_unary", empty_unary },
    { "large_unary", large_unary },
    { "client_streaming", client_streaming },
    { "server_streaming", server_streaming },
    { "ping_pong", ping_pong },
    { "empty_stream", empty_stream },
    { "client_compressed_unary", client_compressed_unary },
    { "server_compressed_unary", server_compressed_unary },
    { "client_compressed_streaming", client_compressed_streaming },
    { "server_compressed_streaming", server_compressed_streaming },
    { "custom_metadata", custom_metadata },
    { "status_code_and_message", status_code_and_message },
    { "special_status_message", special_status_message },
    { "unimplemented_method", unimplemented_method },
    { "unimplemented_service", unimplemented_service },
    { "cancel_after_begin", cancel_after_begin },
    { "cancel_after_first_response", cancel_after_first_response },
    { "timeout_on_sleeping_server", timeout_on_sleeping_server },
    { "rpc_soak", rpc_soak },
    { "channel_soak", channel_soak },
};

} // namespace

int main(int argc, char **argv)
{
    Flags flags(argc, argv,
                { { "server_host", "localhost" },
                  { "server_port", "10000" },
                  { "server_host_override", "" },
                  { "test_case", "large_unary" },
                  { "use_tls", "false" },
                  { "use_test_ca", "false" },
                  { "ca_file", "" },
                  { "soak_iterations", "10" },
                  { "soak_max_failures", "0" },
                  { "soak_per_iteration_max_acceptable_latency_ms", "1000" },
                  { "soak_overall_timeout_seconds", "10" } });
    auto it = cases.find(flags.text("test_case"));
    if (it == cases.end()) {
        fprintf(stderr, "--test_case=%s is not one of:", flags.text("test_case").c_str());
        for (const auto &entry : cases)
            fprintf(stderr, " %s", entry.first.c_str());
        fputc('\n', stderr);
        return 2;
    }
    try {
        auto stub = TestService::NewStub(channel_of(flags));
        it->second(*stub, flags);
    } catch (const Failure &failure) {
        fprintf(stderr, "%s: %s\n", it->first.c_str(), failure.what.c_str());
        return 1;
    }
    return 0;
}
