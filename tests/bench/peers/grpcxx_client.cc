// One blocking caller on grpc++: the lone round trip, as tern-bench latency measures Tern's.
//
//     grpcxx-client ADDR COUNT [REQUEST_SIZE RESPONSE_SIZE]
//
// Prints one JSON line. Every answer is checked: its size, and that it is the request's payload.
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "grpcxx.h"

namespace
{

constexpr long kWarmup = 2000;

double CpuMicros()
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 +
           (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

// Size, and content where the request has one to compare with.
bool Good(const grpc::testing::SimpleRequest &request,
          const grpc::testing::SimpleResponse &response)
{
    const std::string &sent = request.payload().body();
    const std::string &got = response.payload().body();
    return got.size() == static_cast<size_t>(request.response_size()) &&
           got.compare(0, sent.size(), sent, 0, std::min(sent.size(), got.size())) == 0;
}

void Print(std::vector<double> &us, double cpu_us)
{
    double sum = 0;
    for (double v : us)
        sum += v;
    std::sort(us.begin(), us.end());
    size_t n = us.size();
    std::printf("{\"count\": %zu, \"mean_us\": %.3f, \"p50_us\": %.3f, \"p99_us\": %.3f, "
                "\"cpu_us_per_call\": %.3f}\n",
                n, sum / (double)n, us[n / 2], us[std::min(n - 1, n * 99 / 100)],
                cpu_us / (double)n);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 5) {
        std::fprintf(stderr, "usage: grpcxx-client ADDR COUNT [REQUEST_SIZE RESPONSE_SIZE]\n");
        return 2;
    }
    long count = std::atol(argv[2]);
    if (count <= 0) {
        std::fprintf(stderr, "grpcxx-client: COUNT must be above 0\n");
        return 2;
    }
    auto channel = grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials());
    auto stub = grpc::testing::BenchmarkService::NewStub(channel);
    grpc::testing::SimpleRequest request;
    request.mutable_payload()->set_body(std::string(argc == 5 ? std::atoi(argv[3]) : 100, 'x'));
    request.set_response_size(argc == 5 ? std::atoi(argv[4]) : 100);

    std::vector<double> us;
    us.reserve(static_cast<size_t>(count));
    double cpu = 0;
    for (long i = 0; i < count + kWarmup; i++) {
        if (i == kWarmup)
            cpu = CpuMicros();
        grpc::ClientContext context;
        grpc::testing::SimpleResponse response;
        auto begin = std::chrono::steady_clock::now();
        grpc::Status status = stub->UnaryCall(&context, request, &response);
        auto end = std::chrono::steady_clock::now();
        if (!status.ok() || !Good(request, response)) {
            std::fprintf(stderr, "grpcxx-client: call %ld to %s: %s\n", i, argv[1],
                         status.ok() ? "a wrong payload" : status.error_message().c_str());
            return 1;
        }
        if (i >= kWarmup)
            us.push_back(std::chrono::duration<double, std::micro>(end - begin).count());
    }
    Print(us, CpuMicros() - cpu);
    return 0;
}
