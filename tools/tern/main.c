/* The tern command: gRPC from a shell. All of it is in app.c and the files of the subcommands,
 * so that tests can link what has no main(). */
#include "tools/tern/cli.h"

int main(int argc, char **argv)
{
    cli_io io = { .in = stdin, .out = stdout, .err = stderr };
    return cli_main(argc, argv, &io);
}
