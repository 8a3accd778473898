/* The subcommands and what they say about themselves. */
#include "tools/tern/cli.h"
#include "tools/tern/options.h"

#define SCHEMA_HELP                                                                               \
    "schema (at least one; each may be repeated):\n"                                              \
    "  --proto FILE           a .proto file, compiled with protoc\n"                              \
    "  -I, --proto-path DIR   where --proto files and their imports are looked for; without it\n" \
    "                         the working directory, or that of FILE if FILE is not below it\n"   \
    "  --descriptor-set FILE  descriptors compiled before, with protoc --include_imports -o "     \
    "FILE\n"

/* For commands that can ask the server instead. */
#define REFLECTION_HELP                                                                           \
    "schema: without these the server itself is asked, by gRPC reflection.\n"                     \
    "  --proto FILE           a .proto file, compiled with protoc; may be repeated, as the next\n" \
    "  -I, --proto-path DIR   where --proto files and their imports are looked for; without it\n" \
    "                         the working directory, or that of FILE if FILE is not below it\n"   \
    "  --descriptor-set FILE  descriptors compiled before, with protoc --include_imports -o "     \
    "FILE\n"

#define ASK_HELP                                                                                  \
    "when the server is asked:\n"                                                                 \
    "  --timeout TIME         10s by default\n"                                                   \
    "  -H, --header 'K: V'    metadata to send\n"                                                 \
    "  --wait-for-ready       keep trying to connect until the deadline\n"                        \
    "  --authority NAME       :authority to send\n"

#define STYLE_HELP                                                                \
    "  --emit-defaults        show fields that hold their default too\n"          \
    "  --original-names       field names as in the .proto, not lowerCamelCase\n" \
    "  --compact              one line\n"

#define TLS_HELP                                                                                  \
    "TLS (any of these asks for it):\n"                                                           \
    "  --tls                  TLS, with the system's trusted certificates\n"                      \
    "  --ca FILE              trust these certificates (PEM) instead\n"                           \
    "  --cert FILE, --key FILE  the own certificate chain and private key (PEM), for mutual TLS\n" \
    "  --server-name NAME     the name that the server's certificate must have, if not TARGET's\n" \
    "  --insecure-skip-verify   talk to anybody: whoever sits in between reads everything\n"

static const char CALL_HELP[] =
    "usage: tern call TARGET SERVICE/METHOD [-d JSON] [SCHEMA] [OPTION]...\n"
    "\n"
    "Calls a method of any kind and prints what it answers as JSON, each message as it comes.\n"
    "\n"
    "TARGET   host:port, dns:host:port, ipv4:1.2.3.4:port, ipv6:[::1]:port, unix:/path\n"
    "METHOD   its full name, such as shop.v1.Orders/Get; `tern list` shows them\n"
    "\n" REFLECTION_HELP "\n"
    "request:\n"
    "  -d, --data JSON        the request; @FILE reads a file, @- standard input; without it the\n"
    "                         request is empty. A method that takes a stream gets every JSON\n"
    "                         value as a message of its own, from standard input as soon as it\n"
    "                         is complete; without -d it gets none\n"
    "  -H, --header 'K: V'    metadata to send, may be repeated; the value of a key that ends in\n"
    "                         -bin is given as base64\n"
    "  --timeout TIME         deadline: 500ms, 2s, 1.5s, 3m, 1h; without it there is none\n"
    "  --wait-for-ready       keep trying to connect until the deadline instead of failing at "
    "once\n"
    "  --authority NAME       :authority to send instead of the one from TARGET\n"
    "  --compress ENCODING    compress the request: gzip, deflate or zstd; the answer comes as\n"
    "                         the server likes\n"
    "  --max-receive BYTES    largest answer taken, such as 16M; 4M by default\n"
    "\n"
    TLS_HELP "\n"
    "answer:\n" STYLE_HELP "  -v, --verbose          metadata, time and sizes on standard error\n"
    "\n"
    "exit status: 0 answered; 64 + gRPC code when the call failed, with code and message on\n"
    "standard error; 2 when it could not be made as given; 1 when this machine failed.\n"
    "Ctrl-C cancels the call (65), a second one ends the command at once.\n"
    "\n"
    "examples:\n"
    "  tern call localhost:7000 shop.v1.Orders/Get -d '{\"id\": \"o-17\"}'   # asks the server\n"
    "  tern call localhost:7000 shop.v1.Orders/Get -d '{\"id\": \"o-17\"}' --proto shop.proto\n"
    "  tern call shop.example:443 shop.v1.Orders/Get --proto shop.proto --tls\n"
    "  tern call unix:/run/shop.sock shop.v1.Orders/Put -d @order.json -I proto \\\n"
    "      --proto shop/v1/orders.proto -H 'tenant: blue' --timeout 2s\n"
    "  tern call localhost:7000 shop.v1.Orders/Watch -d '{\"id\": \"o-17\"}' --compact \\\n"
    "      --proto shop.proto                              # prints until the server ends it\n"
    "  tern call localhost:7000 shop.v1.Orders/PutAll -d '{\"id\": \"1\"} {\"id\": \"2\"}' \\\n"
    "      --proto shop.proto                              # a stream of two messages\n"
    "  tern call localhost:7000 shop.v1.Help/Chat -d @-    # by hand, Ctrl-D ends\n";

static const char LIST_HELP[] =
    "usage: tern list TARGET [SERVICE] [OPTION]...\n"
    "       tern list [SERVICE] SCHEMA\n"
    "\n"
    "Lists services and their methods, with the types of request and answer: those of a server\n"
    "(TARGET as for `tern call`) or those of files.\n"
    "\n" REFLECTION_HELP "\n" ASK_HELP "\n" TLS_HELP "\n"
    "examples:\n"
    "  tern list localhost:7000\n"
    "  tern list -I proto --proto shop/v1/orders.proto\n";

static const char DESCRIBE_HELP[] =
    "usage: tern describe TARGET SYMBOL... [OPTION]...\n"
    "       tern describe SYMBOL... SCHEMA\n"
    "\n"
    "Shows a service, method, message or enum as a .proto file declares it, comments included\n"
    "(a descriptor set has them if it was made with protoc --include_source_info; servers rarely\n"
    "have).\n"
    "\n" REFLECTION_HELP "\n" ASK_HELP "\n" TLS_HELP "\n"
    "examples:\n"
    "  tern describe localhost:7000 shop.v1.Orders\n"
    "  tern describe shop.v1.Order -I proto --proto shop/v1/orders.proto\n"
    "  tern describe shop.v1.Orders/Get --descriptor-set shop.pb\n";

static const char HEALTH_HELP[] =
    "usage: tern health TARGET [SERVICE] [OPTION]...\n"
    "\n"
    "Asks grpc.health.v1.Health/Check how a service is, or the server as a whole, and prints "
    "SERVING,\n"
    "NOT_SERVING or UNKNOWN.\n"
    "\n"
    "  --watch                follow Health/Watch instead: a line now and for each change, until\n"
    "                         the server ends the stream, the deadline passes, or ^C\n"
    "  --timeout TIME         5s by default; with --watch there is none by default\n"
    "  -H, --header 'K: V'    metadata to send\n"
    "  --wait-for-ready       keep trying to connect until the deadline\n"
    "  --authority NAME       :authority to send\n"
    "  -v, --verbose          metadata and time on standard error\n"
    "\n" TLS_HELP "\n"
    "exit status: 0 SERVING; 1 any other answer; 64 + gRPC code when the call failed (69: the "
    "server\n"
    "does not know the service); 2 wrong usage.\n"
    "\n"
    "examples:\n"
    "  tern health localhost:7000 shop.v1.Orders\n"
    "  tern health localhost:7000 --watch\n";

static const char CHANNELZ_HELP[] =
    "usage: tern channelz TARGET [OPTION]...\n"
    "\n"
    "Shows the servers, channels and sockets of the process that serves grpc.channelz.v1.Channelz\n"
    "at TARGET, with their calls, states and addresses (gRFC A14).\n"
    "\n"
    "  --json                 one JSON object instead of tables, with the events of each channel\n"
    "                         and server\n"
    "  --timeout TIME         for all of it; 5s by default\n"
    "  -H, --header 'K: V'    metadata to send\n"
    "  --wait-for-ready       keep trying to connect until the deadline\n"
    "  --authority NAME       :authority to send\n"
    "\n" TLS_HELP "\n"
    "exit status: 0 shown; 64 + gRPC code when a call failed (76: the server has no channelz);\n"
    "2 wrong usage.\n"
    "\n"
    "examples:\n"
    "  tern channelz unix:/run/shop-admin.sock\n"
    "  tern channelz localhost:7000 --json | jq '.sockets[] | select(.streamsFailed > 0)'\n";

static const char ENCODE_HELP[] =
    "usage: tern encode TYPE [-d JSON] SCHEMA\n"
    "\n"
    "Turns JSON into a serialized message on standard output.\n"
    "\n"
    "TYPE     full name of a message, such as shop.v1.Order\n"
    "\n" SCHEMA_HELP "\n"
    "  -d, --data JSON        the message; @FILE reads a file; without it standard input is read\n"
    "\n"
    "example:\n"
    "  tern encode shop.v1.Order -d '{\"id\": \"o-17\"}' --proto shop.proto > order.bin\n";

static const char DECODE_HELP[] =
    "usage: tern decode TYPE [FILE] SCHEMA [OPTION]...\n"
    "\n"
    "Prints a serialized message, from FILE or standard input, as JSON.\n"
    "\n"
    "TYPE     full name of a message, such as shop.v1.Order\n"
    "\n" SCHEMA_HELP "\n" STYLE_HELP
    "  -v, --verbose          say on standard error how many fields were unknown\n"
    "\n"
    "example:\n"
    "  tern decode shop.v1.Order order.bin --proto shop.proto\n";

const cli_command cli_commands[] = {
    { "call", CLI_FOR_CALL, "calls a method", CALL_HELP, cli_call_run },
    { "list", CLI_FOR_LIST, "lists services and methods", LIST_HELP, cli_list_run },
    { "describe", CLI_FOR_DESCRIBE, "shows a service, method, message or enum", DESCRIBE_HELP,
      cli_describe_run },
    { "health", CLI_FOR_HEALTH, "asks a server whether it is serving", HEALTH_HELP,
      cli_health_run },
    { "channelz", CLI_FOR_CHANNELZ, "shows the servers, channels and sockets of a process",
      CHANNELZ_HELP, cli_channelz_run },
    { "encode", CLI_FOR_ENCODE, "turns JSON into a serialized message", ENCODE_HELP,
      cli_encode_run },
    { "decode", CLI_FOR_DECODE, "turns a serialized message into JSON", DECODE_HELP,
      cli_decode_run },
    { NULL, 0, NULL, NULL, NULL },
};
