// What the grpc++ interop client and server share: flags, payloads, a look at the compressed flag
// of a message (which grpc++ opens to its own interop programs, by two friends of its contexts).
#ifndef TERN_INTEROP_CPP_COMMON_H
#define TERN_INTEROP_CPP_COMMON_H

#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "grpc/testing/test.grpc.pb.h"

// Flags of the message received last: compressed, or it was before a filter decompressed it. The
// bits are not in an installed header.
constexpr uint32_t message_compressed = 0x80000000u | 0x40000000u;
uint32_t grpc_call_test_only_get_message_flags(grpc_call *call);

namespace grpc
{
namespace testing
{
class InteropClientContextInspector
{
  public:
    static bool compressed(const ClientContext &context)
    {
        return grpc_call_test_only_get_message_flags(context.call_) & message_compressed;
    }
};
class InteropServerContextInspector
{
  public:
    static bool compressed(const ServerContext &context)
    {
        return grpc_call_test_only_get_message_flags(context.call_.call) & message_compressed;
    }
};
} // namespace testing
} // namespace grpc

#define ECHO_INITIAL "x-grpc-test-echo-initial"
#define ECHO_TRAILING "x-grpc-test-echo-trailing-bin"

// --name=value, --name value, or --name for true.
class Flags
{
  public:
    Flags(int argc, char **argv, std::map<std::string, std::string> defaults)
        : values_(std::move(defaults))
    {
        for (int i = 1; i < argc; i++) {
            std::string name = argv[i], value = "true";
            name.erase(0, name.find_first_not_of('-'));
            size_t equals = name.find('=');
            bool next = i + 1 < argc && argv[i + 1][0] != '-';
            if (equals != std::string::npos) {
                value = name.substr(equals + 1);
                name.erase(equals);
            } else if (next) {
                value = argv[++i];
            }
            if (!values_.count(name)) {
                fprintf(stderr, "%s: --%s is not known\n", argv[0], name.c_str());
                exit(2);
            }
            values_[name] = value;
        }
    }
    const std::string &text(const std::string &name) const { return values_.at(name); }
    int number(const std::string &name) const { return atoi(text(name).c_str()); }
    bool on(const std::string &name) const { return text(name) == "true" || text(name) == "1"; }

  private:
    std::map<std::string, std::string> values_;
};

inline std::string read_file(const std::string &path)
{
    std::ifstream in(path);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
}

inline std::string zeros(int size)
{
    return std::string(size > 0 ? size : 0, '\0');
}

#endif
