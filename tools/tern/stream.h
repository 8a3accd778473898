/* tern call of a method whose requests or answers are a stream. */
#ifndef TERN_TOOLS_STREAM_H
#define TERN_TOOLS_STREAM_H

#include "tools/tern/codec.h"
#include "tools/tern/net.h"

/* Makes the call. Of a method that takes a stream, the messages come from -d; the others send
 * call->request. Answers are printed as they come. */
int cli_stream_make(const cli_call *call, const cli_codec *in, const cli_codec *out, cli_error *e);

/* Fails with INTERNAL, as gRPC does: *e says why an answer is no message of this type. A failure of
 * this machine stays what it is. */
int cli_fail_answer(cli_error *e, const cli_message *type);

#endif
