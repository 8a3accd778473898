// What the streaming peers on grpc++ share: events of a completion queue, the kinds of stream, and
// files.
#ifndef PEER_GRPCXX_STREAMS_H
#define PEER_GRPCXX_STREAMS_H

#include <grpcpp/grpcpp.h>

#include <fstream>
#include <sstream>
#include <string>

#include "grpcxx.h"

// A state machine whose operations are numbered; On() is told of each that has ended.
class Machine
{
  public:
    virtual ~Machine() = default;
    virtual void On(int operation, bool ok) = 0;
};

// What is handed to the completion queue: a part of the machine, not allocated.
struct Tag {
    Machine *machine;
    int operation;
};

inline void Dispatch(void *tag, bool ok)
{
    auto *t = static_cast<Tag *>(tag);
    t->machine->On(t->operation, ok);
}

// Messages may wait for those that follow until 16 KiB of them are together: grpc++'s way of
// sharing a packet. (Without an end to it, a server that always has the next message never looks at
// its socket again, and does not hear of the client's cancelling.) The first one must not wait: it
// goes with the headers, and until these are out its write does not end and no other can follow.
class Gather
{
  public:
    grpc::WriteOptions Next(size_t bytes)
    {
        grpc::WriteOptions options;
        gathered_ += bytes + kOverhead;
        if (gathered_ >= kBytes)
            gathered_ = 0;
        else
            options.set_buffer_hint();
        return options;
    }

  private:
    static constexpr size_t kBytes = 16384;
    static constexpr size_t kOverhead = 10; // prefix of gRPC, fields of the message
    size_t gathered_ = kBytes;
};

inline std::string ReadFile(const char *path)
{
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    if (!in) {
        std::fprintf(stderr, "%s cannot be read\n", path);
        std::exit(1);
    }
    return text.str();
}

#endif
