// Streams on grpc++'s async API, one completion queue and one thread: what tern-bench stream does
// with Tern's.
//
//     grpcxx-stream-client ADDR KIND SIZE SECONDS SERVER_PID [ROOTS]
//
// KIND is ping-pong, from-server, from-client or both-ways. One stream; messages are counted as
// tern-bench counts them, each one that comes is looked at. Prints one JSON line.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <memory>

#include "grpcxx_streams.h"

using grpc::testing::BenchmarkService;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;
using Clock = std::chrono::steady_clock;

namespace
{

enum Operation { kStart, kRead, kWrite, kDone, kFinish, kOperations };

bool stopping, counting, failed, finished;
long sent, received;

class Client : public Machine
{
  public:
    Client(BenchmarkService::Stub *stub, grpc::CompletionQueue *queue, size_t size)
        : stub_(stub), queue_(queue), size_(size)
    {
        for (int i = 0; i < kOperations; i++)
            tags_[i] = {this, i};
        request_.mutable_payload()->set_body(std::string(size, 'x'));
        request_.set_response_size(static_cast<int>(size));
    }

    virtual void Begin() = 0;

    void On(int operation, bool ok) override
    {
        if (operation == kFinish) {
            finished = true;
            failed = failed || !GoodEnd();
            return;
        }
        if (operation == kRead && ok) {
            failed = failed || response_.payload().body() != request_.payload().body();
            received += counting;
        }
        if (operation == kWrite && ok)
            sent += counting;
        Next(operation, ok);
    }

    std::string Error() const { return status_.error_message(); }

  protected:
    virtual void Next(int operation, bool ok) = 0;
    virtual bool GoodEnd() { return status_.ok(); }
    void *For(Operation operation) { return &tags_[operation]; }

    BenchmarkService::Stub *stub_;
    grpc::CompletionQueue *queue_;
    size_t size_;
    Gather gather_;
    Tag tags_[kOperations];
    grpc::ClientContext context_;
    SimpleRequest request_;
    SimpleResponse response_;
    grpc::Status status_;
};

using Duplex = grpc::ClientAsyncReaderWriter<SimpleRequest, SimpleResponse>;

class PingPong final : public Client
{
  public:
    using Client::Client;
    void Begin() override
    {
        stream_ = stub_->AsyncStreamingCall(&context_, queue_, For(kStart));
    }

  private:
    void Next(int operation, bool ok) override
    {
        if (!ok) {
            failed = failed || !stopping;
            stream_->Finish(&status_, For(kFinish));
        } else if (operation == kWrite || operation == kDone) {
            sent = 0; // an exchange counts once
            stream_->Read(&response_, For(kRead));
        } else if (stopping) {
            stream_->WritesDone(For(kDone));
        } else {
            stream_->Write(request_, For(kWrite));
        }
    }

    std::unique_ptr<Duplex> stream_;
};

class FromServer final : public Client
{
  public:
    using Client::Client;
    void Begin() override
    {
        reader_ = stub_->AsyncStreamingFromServer(&context_, request_, queue_, For(kStart));
    }

  private:
    void Next(int, bool ok) override
    {
        if (stopping && ok)
            context_.TryCancel();
        if (ok) {
            reader_->Read(&response_, For(kRead));
        } else {
            failed = failed || !stopping;
            reader_->Finish(&status_, For(kFinish));
        }
    }
    bool GoodEnd() override { return status_.error_code() == grpc::StatusCode::CANCELLED; }

    std::unique_ptr<grpc::ClientAsyncReader<SimpleResponse>> reader_;
};

class FromClient final : public Client
{
  public:
    using Client::Client;
    void Begin() override
    {
        writer_ = stub_->AsyncStreamingFromClient(&context_, &response_, queue_, For(kStart));
    }

  private:
    void Next(int operation, bool ok) override
    {
        if (!ok || operation == kDone) {
            failed = failed || !ok;
            writer_->Finish(&status_, For(kFinish));
        } else if (stopping) {
            writer_->WritesDone(For(kDone));
        } else {
            writer_->Write(request_, gather_.Next(size_), For(kWrite));
        }
    }

    std::unique_ptr<grpc::ClientAsyncWriter<SimpleRequest>> writer_;
};

class BothWays final : public Client
{
  public:
    using Client::Client;
    void Begin() override
    {
        stream_ = stub_->AsyncStreamingBothWays(&context_, queue_, For(kStart));
    }

  private:
    void Next(int operation, bool ok) override
    {
        if (operation == kRead && !ok) {
            failed = failed || !stopping;
            stream_->Finish(&status_, For(kFinish));
            return;
        }
        if (operation == kStart || operation == kRead)
            stream_->Read(&response_, For(kRead));
        if (operation == kRead || operation == kDone || !ok)
            return;
        if (stopping)
            stream_->WritesDone(For(kDone));
        else
            stream_->Write(request_, gather_.Next(size_), For(kWrite));
    }

    std::unique_ptr<Duplex> stream_;
};

double CpuMicros()
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 +
           (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

double CpuMicrosOf(const char *pid)
{
    std::string text = ReadFile(("/proc/" + std::string(pid) + "/stat").c_str());
    unsigned long user = 0, system = 0;
    std::sscanf(text.c_str() + text.rfind(')') + 1,
                " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

// Handles what comes until `end`, or until the stream has ended.
void Run(grpc::CompletionQueue *queue, Clock::time_point end)
{
    void *tag;
    bool ok;
    for (unsigned n = 0; !finished && !failed; n++) {
        if (n % 64 == 0 && Clock::now() >= end)
            return;
        if (queue->AsyncNext(&tag, &ok, std::chrono::system_clock::now() +
                                            std::chrono::milliseconds(50)) ==
            grpc::CompletionQueue::GOT_EVENT)
            Dispatch(tag, ok);
    }
}

std::unique_ptr<Client> Make(const char *kind, BenchmarkService::Stub *stub,
                             grpc::CompletionQueue *queue, size_t size)
{
    if (std::strcmp(kind, "ping-pong") == 0)
        return std::make_unique<PingPong>(stub, queue, size);
    if (std::strcmp(kind, "from-server") == 0)
        return std::make_unique<FromServer>(stub, queue, size);
    if (std::strcmp(kind, "from-client") == 0)
        return std::make_unique<FromClient>(stub, queue, size);
    if (std::strcmp(kind, "both-ways") == 0)
        return std::make_unique<BothWays>(stub, queue, size);
    std::fprintf(stderr, "grpcxx-stream-client: there is no kind '%s'\n", kind);
    std::exit(2);
}

int Fail(const char *target, const char *what, const std::string &error)
{
    std::fprintf(stderr, "grpcxx-stream-client: %s: %s: %s\n", target, what, error.c_str());
    return 1;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        std::fprintf(stderr,
                     "usage: grpcxx-stream-client ADDR KIND SIZE SECONDS SERVER_PID [ROOTS]\n");
        return 2;
    }
    auto credentials = grpc::InsecureChannelCredentials();
    if (argc == 7) {
        grpc::SslCredentialsOptions tls;
        tls.pem_root_certs = ReadFile(argv[6]);
        credentials = grpc::SslCredentials(tls);
    }
    size_t size = std::strtoul(argv[3], nullptr, 10);
    double seconds = std::atof(argv[4]);
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(64 * 1024 * 1024 + 1024);
    auto channel = grpc::CreateCustomChannel(argv[1], credentials, arguments);
    auto stub = BenchmarkService::NewStub(channel);
    grpc::CompletionQueue queue;
    auto client = Make(argv[2], stub.get(), &queue, size);
    auto in = [](double s) {
        return Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                  std::chrono::duration<double>(s));
    };

    client->Begin();
    Run(&queue, in(std::min(std::max(seconds / 10, 0.2), 1.0)));
    counting = true;
    double cpu = CpuMicros(), server_cpu = CpuMicrosOf(argv[5]);
    auto begin = Clock::now();
    Run(&queue, in(seconds));
    double took = std::chrono::duration<double>(Clock::now() - begin).count();
    counting = false;
    cpu = CpuMicros() - cpu;
    server_cpu = CpuMicrosOf(argv[5]) - server_cpu;
    if (failed || finished)
        return Fail(argv[1], "a stream failed or ended too early", client->Error());
    stopping = true;
    Run(&queue, in(20));
    if (failed || !finished)
        return Fail(argv[1], "a stream did not end well", client->Error());
    double n = static_cast<double>(sent + received);
    std::printf("{\"kind\": \"%s\", \"sent\": %ld, \"received\": %ld, \"seconds\": %.3f, "
                "\"messages_per_s\": %.1f, \"mb_per_s\": %.3f, "
                "\"client_cpu_us_per_message\": %.4f, \"server_cpu_us_per_message\": %.4f}\n",
                argv[2], sent, received, took, n / took, n * (double)size / 1e6 / took, cpu / n,
                server_cpu / n);
    return 0;
}
