// The interop server of grpc doc/interop-test-descriptions.md on Debian's grpc++, with the official flags.
#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include <grpcpp/ext/proto_server_reflection_plugin.h>

#include "common.h"

using namespace grpc::testing;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

namespace
{

void echo_metadata(ServerContext *context)
{
    for (const auto &[key, value] : context->client_metadata()) {
        std::string name(key.data(), key.size()), text(value.data(), value.size());
        if (name == ECHO_INITIAL)
            context->AddInitialMetadata(name, text);
        else if (name == ECHO_TRAILING)
            context->AddTrailingMetadata(name, text);
    }
}

template <class Request> Status check_compressed(ServerContext *context, const Request &request)
{
    if (request.has_expect_compressed() &&
        request.expect_compressed().value() != InteropServerContextInspector::compressed(*context))
        return Status(StatusCode::INVALID_ARGUMENT, "expect_compressed does not hold");
    return Status::OK;
}

template <class Request> Status echo_status(const Request &request)
{
    if (!request.has_response_status())
        return Status::OK;
    return Status(static_cast<StatusCode>(request.response_status().code()),
                  request.response_status().message());
}

template <class Stream> void answer(Stream *stream, const StreamingOutputCallRequest &request)
{
    for (const ResponseParameters &p : request.response_parameters()) {
        StreamingOutputCallResponse response;
        grpc::WriteOptions options;
        std::this_thread::sleep_for(std::chrono::microseconds(p.interval_us()));
        response.mutable_payload()->set_body(zeros(p.size()));
        if (!p.compressed().value())
            options.set_no_compression();
        if (!stream->Write(response, options))
            return;
    }
}

class Service : public TestService::Service
{
    Status EmptyCall(ServerContext *context, const Empty *, Empty *) override
    {
        echo_metadata(context);
        return Status::OK;
    }

    Status UnaryCall(ServerContext *context, const SimpleRequest *request,
                     SimpleResponse *response) override
    {
        echo_metadata(context);
        Status status = check_compressed(context, *request);
        if (!status.ok())
            return status;
        if (request->response_compressed().value())
            context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
        response->mutable_payload()->set_body(zeros(request->response_size()));
        return echo_status(*request);
    }

    Status CacheableUnaryCall(ServerContext *context, const SimpleRequest *,
                              SimpleResponse *response) override
    {
        auto now = std::chrono::system_clock::now().time_since_epoch();
        context->AddInitialMetadata("cache-control", "max-age=60, public");
        response->mutable_payload()->set_body(std::to_string(now.count()));
        return Status::OK;
    }

    Status StreamingOutputCall(ServerContext *context, const StreamingOutputCallRequest *request,
                               grpc::ServerWriter<StreamingOutputCallResponse> *writer) override
    {
        echo_metadata(context);
        for (const ResponseParameters &p : request->response_parameters())
            if (p.compressed().value())
                context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
        answer(writer, *request);
        return echo_status(*request);
    }

    Status StreamingInputCall(ServerContext *context,
                              grpc::ServerReader<StreamingInputCallRequest> *reader,
                              StreamingInputCallResponse *response) override
    {
        StreamingInputCallRequest request;
        int sum = 0;
        echo_metadata(context);
        while (reader->Read(&request)) {
            Status status = check_compressed(context, request);
            if (!status.ok())
                return status;
            sum += static_cast<int>(request.payload().body().size());
        }
        response->set_aggregated_payload_size(sum);
        return Status::OK;
    }

    Status FullDuplexCall(ServerContext *context,
                          grpc::ServerReaderWriter<StreamingOutputCallResponse,
                                                   StreamingOutputCallRequest> *stream) override
    {
        StreamingOutputCallRequest request;
        echo_metadata(context);
        while (stream->Read(&request)) {
            Status status = echo_status(request);
            if (!status.ok())
                return status;
            answer(stream, request);
        }
        return Status::OK;
    }

    Status HalfDuplexCall(ServerContext *context,
                          grpc::ServerReaderWriter<StreamingOutputCallResponse,
                                                   StreamingOutputCallRequest> *stream) override
    {
        std::vector<StreamingOutputCallRequest> requests;
        StreamingOutputCallRequest request;
        echo_metadata(context);
        while (stream->Read(&request))
            requests.push_back(request);
        for (const auto &r : requests)
            answer(stream, r);
        return Status::OK;
    }
};

} // namespace

int main(int argc, char **argv)
{
    Flags flags(argc, argv,
                { { "port", "10000" },
                  { "use_tls", "false" },
                  { "tls_cert_file", "" },
                  { "tls_key_file", "" } });
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    Service service;
    grpc::ServerBuilder builder;
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    int port = 0, signo;
    if (flags.on("use_tls")) {
        grpc::SslServerCredentialsOptions options;
        options.pem_key_cert_pairs.push_back(
            { read_file(flags.text("tls_key_file")), read_file(flags.text("tls_cert_file")) });
        credentials = grpc::SslServerCredentials(options);
    }
    builder.AddListeningPort("127.0.0.1:" + flags.text("port"), credentials, &port);
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server)
        return 1;
    printf("listening on port %d\n", port);
    fflush(stdout);
    sigwait(&signals, &signo);
    server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server->Wait();
    return 0;
}
