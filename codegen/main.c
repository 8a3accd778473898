/* protoc-gen-tern: a plugin of protoc. protoc starts it, writes one CodeGeneratorRequest to its
 * standard input and reads one CodeGeneratorResponse from its standard output. What is wrong with a
 * .proto goes into the response, and protoc shows it; what is wrong with the conversation itself
 * goes to standard error, with exit status 1. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tern/version.h>

#include "codegen/memory.h"
#include "codegen/request.h"

/* Largest request that is read; all of googleapis makes one of about 30 MB. */
#define REQUEST_BYTES_MAX ((size_t)1 << 30)
#define READ_BYTES_FIRST ((size_t)1 << 16)

static const char usage[] =
    "protoc-gen-tern " TERN_VERSION_STRING ": a protoc plugin that generates C for Tern.\n"
    "\n"
    "It is started by protoc, not by hand:\n"
    "\n"
    "    protoc --tern_out=DIR FILE.proto...\n"
    "    protoc --plugin=protoc-gen-tern=/path/to/protoc-gen-tern --tern_out=DIR FILE.proto...\n"
    "\n"
    "For each FILE.proto it writes FILE.pb-c.h and FILE.pb-c.c (messages, for protobuf-c) and,\n"
    "if there are services, FILE.tern.h and FILE.tern.c (client functions and handler tables).\n"
    "\n"
    "Options, as --tern_opt=NAME=VALUE or --tern_out=NAME=VALUE,...:DIR\n"
    "    messages=yes|no    no: leave the messages to protoc-gen-c (default: yes)\n"
    "    reflection=yes|no  no: do not embed descriptors for server reflection (default: yes)\n"
    "    prefix=NAME        put before the names of stubs (default: none)\n"
    "\n"
    "By hand there are only --help and --version.\n";

/* Reads standard input to its end. Returns 0, or -1 with a message printed. */
static int read_request(uint8_t **ret, size_t *ret_len)
{
    size_t capacity = READ_BYTES_FIRST, len = 0;
    uint8_t *bytes = cg_realloc(NULL, capacity);

    for (;;) {
        size_t n = fread(bytes + len, 1, capacity - len, stdin);

        len += n;
        if (n == 0)
            break;
        if (len < capacity)
            continue;
        if (capacity >= REQUEST_BYTES_MAX) {
            fprintf(stderr,
                    "protoc-gen-tern: the request is larger than %zu bytes: generate fewer "
                    "files at a time\n",
                    REQUEST_BYTES_MAX);
            free(bytes);
            return -1;
        }
        capacity *= 2;
        bytes = cg_realloc(bytes, capacity);
    }
    if (ferror(stdin)) {
        fprintf(stderr, "protoc-gen-tern: cannot read the request from standard input: %s\n",
                strerror(errno));
        free(bytes);
        return -1;
    }
    *ret = bytes;
    *ret_len = len;
    return 0;
}

static int answer(void)
{
    uint8_t *request, *response = NULL;
    size_t request_len, response_len = 0;
    int r;

    if (read_request(&request, &request_len) < 0)
        return EXIT_FAILURE;
    r = cg_answer(request, request_len, &response, &response_len);
    free(request);
    if (r < 0) {
        fprintf(stderr,
                "protoc-gen-tern: standard input (%zu bytes) is not a CodeGeneratorRequest: run "
                "this program through protoc, see protoc-gen-tern --help\n",
                request_len);
        return EXIT_FAILURE;
    }
    if (fwrite(response, 1, response_len, stdout) != response_len || fflush(stdout) != 0) {
        fprintf(stderr, "protoc-gen-tern: cannot write the response to standard output: %s\n",
                strerror(errno));
        r = -1;
    }
    free(response);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("protoc-gen-tern %s (generated code interface %d)\n", TERN_VERSION_STRING,
               TERN_CODEGEN_ABI);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (argc > 1) {
        fprintf(stderr, "protoc-gen-tern: unknown argument \"%s\"\n\n%s", argv[1], usage);
        return EXIT_FAILURE;
    }
    if (isatty(STDIN_FILENO)) {
        fputs(usage, stderr);
        return EXIT_FAILURE;
    }
    return answer();
}
