// What the grpc++ peers share: address spelling and the payload every server answers with.
#ifndef PEER_GRPCXX_H
#define PEER_GRPCXX_H

#include <cstdio>
#include <cstdlib>
#include <string>

#include "grpc/testing/benchmark_service.grpc.pb.h"

// grpc++ servers take no "ipv4:" scheme.
inline std::string PlainAddress(const std::string &address)
{
    return address.rfind("ipv4:", 0) == 0 ? address.substr(5) : address;
}

// The request's payload, repeated to the size asked for; zeros when the request has none. Returns
// false for a size that cannot be meant. `again`: the response may hold a former answer.
inline bool Answer(const grpc::testing::SimpleRequest &request,
                   grpc::testing::SimpleResponse *response, bool again = false)
{
    if (request.response_size() < 0)
        return false;
    size_t size = static_cast<size_t>(request.response_size());
    const std::string &body = request.payload().body();
    std::string *out = response->mutable_payload()->mutable_body();
    if (again)
        out->clear();
    if (body.empty()) {
        out->assign(size, '\0');
        return true;
    }
    out->reserve(size);
    while (out->size() < size)
        out->append(body, 0, size - out->size());
    return true;
}

inline void PrintListening(const std::string &address, int port)
{
    std::string plain = PlainAddress(address);
    if (plain.rfind("unix:", 0) == 0)
        std::printf("listening on %s\n", plain.c_str());
    else
        std::printf("listening on ipv4:%s:%d\n", plain.substr(0, plain.rfind(':')).c_str(), port);
    std::fflush(stdout);
}

#endif
