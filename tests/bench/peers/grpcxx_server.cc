// BenchmarkService/UnaryCall on grpc++, in its three server APIs:
//
//     grpcxx-server sync|callback|async ADDR
//
// Each is set up for one core: sync with one completion queue and its usual one to two pollers,
// async with one completion queue, one thread and a pool of accepted-in-advance calls (as grpc's own
// qps async server does it), callback as it comes: its threads are grpc's own business.
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "grpcxx.h"

using grpc::testing::BenchmarkService;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;

namespace
{

// More than the streams that the load has open at once (10 connections x 10 streams).
constexpr int kAsyncCalls = 256;

grpc::Status StatusFor(bool answered)
{
    return answered ? grpc::Status::OK
                    : grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "response_size is negative");
}

class SyncService final : public BenchmarkService::Service
{
    grpc::Status UnaryCall(grpc::ServerContext *, const SimpleRequest *request,
                           SimpleResponse *response) override
    {
        return StatusFor(Answer(*request, response));
    }
};

class CallbackService final : public BenchmarkService::CallbackService
{
    grpc::ServerUnaryReactor *UnaryCall(grpc::CallbackServerContext *context,
                                        const SimpleRequest *request,
                                        SimpleResponse *response) override
    {
        auto *reactor = context->DefaultReactor();
        reactor->Finish(StatusFor(Answer(*request, response)));
        return reactor;
    }
};

// One slot of the pool: waits for a request, answers it, and begins anew.
class AsyncCall
{
  public:
    AsyncCall(BenchmarkService::AsyncService *service, grpc::ServerCompletionQueue *cq)
        : service_(service), cq_(cq)
    {
        Wait();
    }

    void Proceed(bool ok)
    {
        if (ok && !finishing_) {
            finishing_ = true;
            bool answered = Answer(*request_, response_.get());
            writer_->Finish(*response_, StatusFor(answered), this);
        } else {
            Wait();
        }
    }

  private:
    void Wait()
    {
        finishing_ = false;
        context_ = std::make_unique<grpc::ServerContext>();
        request_ = std::make_unique<SimpleRequest>();
        response_ = std::make_unique<SimpleResponse>();
        writer_ = std::make_unique<grpc::ServerAsyncResponseWriter<SimpleResponse>>(context_.get());
        service_->RequestUnaryCall(context_.get(), request_.get(), writer_.get(), cq_, cq_, this);
    }

    BenchmarkService::AsyncService *service_;
    grpc::ServerCompletionQueue *cq_;
    bool finishing_ = false;
    std::unique_ptr<grpc::ServerContext> context_;
    std::unique_ptr<SimpleRequest> request_;
    std::unique_ptr<SimpleResponse> response_;
    std::unique_ptr<grpc::ServerAsyncResponseWriter<SimpleResponse>> writer_;
};

std::unique_ptr<grpc::Server> Start(grpc::ServerBuilder &builder, const std::string &address)
{
    int port = 0;
    builder.AddListeningPort(PlainAddress(address), grpc::InsecureServerCredentials(), &port);
    auto server = builder.BuildAndStart();
    if (!server || (port == 0 && address.rfind("unix:", 0) != 0)) {
        std::fprintf(stderr, "grpcxx-server: cannot listen on %s\n", address.c_str());
        std::exit(1);
    }
    PrintListening(address, port);
    return server;
}

void RunService(grpc::Service *service, const std::string &address)
{
    grpc::ServerBuilder builder;
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    builder.RegisterService(service);
    Start(builder, address)->Wait();
}

void RunAsync(const std::string &address)
{
    BenchmarkService::AsyncService service;
    grpc::ServerBuilder builder;
    builder.RegisterService(&service);
    auto cq = builder.AddCompletionQueue();
    auto server = Start(builder, address);
    std::vector<std::unique_ptr<AsyncCall>> calls;
    for (int i = 0; i < kAsyncCalls; i++)
        calls.push_back(std::make_unique<AsyncCall>(&service, cq.get()));
    void *tag;
    bool ok;
    while (cq->Next(&tag, &ok))
        static_cast<AsyncCall *>(tag)->Proceed(ok);
}

} // namespace

int main(int argc, char **argv)
{
    std::string kind = argc == 3 ? argv[1] : "";
    if (kind == "sync") {
        SyncService service;
        RunService(&service, argv[2]);
    } else if (kind == "callback") {
        CallbackService service;
        RunService(&service, argv[2]);
    } else if (kind == "async") {
        RunAsync(argv[2]);
    } else {
        std::fprintf(stderr, "usage: grpcxx-server sync|callback|async ADDR\n");
        return 2;
    }
    return 0;
}
