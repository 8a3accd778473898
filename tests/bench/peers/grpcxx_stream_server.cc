// The streaming methods of BenchmarkService on grpc++'s async API: one completion queue, one
// thread, calls accepted in advance.
//
//     grpcxx-stream-server ADDR [CERT KEY]
//
// Each method is a machine of its own; an operation's number is its place in tags_.
#include <memory>
#include <vector>

#include "grpcxx_streams.h"

using grpc::testing::BenchmarkService;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;
using Service = BenchmarkService::AsyncService;
using Queue = grpc::ServerCompletionQueue;

namespace
{

// More streams of each kind than a load opens at once.
constexpr int kStreams = 110;
constexpr int kMessageBytesMax = 64 * 1024 * 1024 + 1024;

enum Operation { kAccept, kRead, kWrite, kFinish, kOperations };

// What all four have: a call that is accepted, runs, and gives way to the next one.
class Call : public Machine
{
  public:
    Call(Service *service, Queue *queue) : service_(service), queue_(queue)
    {
        for (int i = 0; i < kOperations; i++)
            tags_[i] = {this, i};
    }

    void Begin()
    {
        context_ = std::make_unique<grpc::ServerContext>();
        gather_ = Gather();
        ending_ = false;
        under_way_ = 1;
        Accept();
    }

    void On(int operation, bool ok) override
    {
        under_way_--;
        if (operation == kFinish || (operation == kAccept && !ok))
            Begin();
        else
            Next(operation, ok);
    }

  protected:
    virtual void Accept() = 0;
    virtual void Next(int operation, bool ok) = 0;

    void *For(Operation operation)
    {
        if (operation != kAccept)
            under_way_++;
        return &tags_[operation];
    }

    Service *service_;
    Queue *queue_;
    Tag tags_[kOperations];
    std::unique_ptr<grpc::ServerContext> context_;
    SimpleRequest request_;
    SimpleResponse response_;
    Gather gather_;
    bool ending_;
    int under_way_; // operations
};

class PingPong final : public Call
{
  public:
    using Call::Call;

  private:
    void Accept() override
    {
        stream_ = std::make_unique<Stream>(context_.get());
        service_->RequestStreamingCall(context_.get(), stream_.get(), queue_, queue_, For(kAccept));
    }

    void Next(int operation, bool ok) override
    {
        if (!ok)
            stream_->Finish(grpc::Status::OK, For(kFinish));
        else if (operation != kRead)
            stream_->Read(&request_, For(kRead));
        else if (Answer(request_, &response_, true))
            stream_->Write(response_, For(kWrite));
        else
            stream_->Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "response_size"),
                            For(kFinish));
    }

    using Stream = grpc::ServerAsyncReaderWriter<SimpleResponse, SimpleRequest>;
    std::unique_ptr<Stream> stream_;
};

class FromServer final : public Call
{
  public:
    using Call::Call;

  private:
    void Accept() override
    {
        writer_ = std::make_unique<grpc::ServerAsyncWriter<SimpleResponse>>(context_.get());
        service_->RequestStreamingFromServer(context_.get(), &request_, writer_.get(), queue_,
                                             queue_, For(kAccept));
    }

    void Next(int operation, bool ok) override
    {
        if (operation == kAccept)
            ok = Answer(request_, &response_, true);
        if (ok)
            writer_->Write(response_, gather_.Next(response_.payload().body().size()), For(kWrite));
        else
            writer_->Finish(grpc::Status::CANCELLED, For(kFinish));
    }

    std::unique_ptr<grpc::ServerAsyncWriter<SimpleResponse>> writer_;
};

class FromClient final : public Call
{
  public:
    using Call::Call;

  private:
    using Reader = grpc::ServerAsyncReader<SimpleResponse, SimpleRequest>;

    void Accept() override
    {
        reader_ = std::make_unique<Reader>(context_.get());
        service_->RequestStreamingFromClient(context_.get(), reader_.get(), queue_, queue_,
                                             For(kAccept));
    }

    void Next(int, bool ok) override
    {
        if (ok) {
            reader_->Read(&request_, For(kRead));
        } else {
            bool answered = Answer(request_, &response_, true);
            reader_->Finish(response_,
                            answered ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNKNOWN, ""),
                            For(kFinish));
        }
    }

    std::unique_ptr<Reader> reader_;
};

// Reading and writing go on by themselves after the first request; the end is when the client has
// closed its side and the last write has ended.
class BothWays final : public Call
{
  public:
    using Call::Call;

  private:
    void Accept() override
    {
        begun_ = false;
        stream_ = std::make_unique<Stream>(context_.get());
        service_->RequestStreamingBothWays(context_.get(), stream_.get(), queue_, queue_,
                                           For(kAccept));
    }

    void Write()
    {
        stream_->Write(response_, gather_.Next(response_.payload().body().size()), For(kWrite));
    }

    void Next(int operation, bool ok) override
    {
        ending_ = ending_ || !ok;
        if (operation == kRead && !begun_ && ok) {
            begun_ = true;
            ending_ = !Answer(request_, &response_, true);
            if (!ending_)
                Write();
        }
        if (operation == kWrite && !ending_)
            Write();
        if (operation != kWrite && ok)
            stream_->Read(&request_, For(kRead));
        if (ending_ && under_way_ == 0)
            stream_->Finish(grpc::Status::OK, For(kFinish));
    }

    using Stream = grpc::ServerAsyncReaderWriter<SimpleResponse, SimpleRequest>;
    std::unique_ptr<Stream> stream_;
    bool begun_;
};

template <class Kind>
void Prepare(std::vector<std::unique_ptr<Call>> *calls, Service *service, Queue *queue)
{
    for (int i = 0; i < kStreams; i++) {
        calls->push_back(std::make_unique<Kind>(service, queue));
        calls->back()->Begin();
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 4) {
        std::fprintf(stderr, "usage: grpcxx-stream-server ADDR [CERT KEY]\n");
        return 2;
    }
    std::string address = argv[1];
    auto credentials = grpc::InsecureServerCredentials();
    if (argc == 4) {
        grpc::SslServerCredentialsOptions tls;
        tls.pem_key_cert_pairs.push_back({ReadFile(argv[3]), ReadFile(argv[2])});
        credentials = grpc::SslServerCredentials(tls);
    }
    Service service;
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(PlainAddress(address), credentials, &port);
    builder.SetMaxReceiveMessageSize(kMessageBytesMax);
    builder.RegisterService(&service);
    auto queue = builder.AddCompletionQueue();
    auto server = builder.BuildAndStart();
    if (!server || port == 0) {
        std::fprintf(stderr, "grpcxx-stream-server: cannot listen on %s\n", address.c_str());
        return 1;
    }
    PrintListening(address, port);
    std::vector<std::unique_ptr<Call>> calls;
    Prepare<PingPong>(&calls, &service, queue.get());
    Prepare<FromServer>(&calls, &service, queue.get());
    Prepare<FromClient>(&calls, &service, queue.get());
    Prepare<BothWays>(&calls, &service, queue.get());
    void *tag;
    bool ok;
    while (queue->Next(&tag, &ok))
        Dispatch(tag, ok);
    return 0;
}
