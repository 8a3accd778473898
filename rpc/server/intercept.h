/* Interceptors around the handlers of a server. A call that never reaches its handler (an unknown
 * method, a deadline that passed before) is not seen by them. */
#ifndef TERN__SERVER_INTERCEPT_H
#define TERN__SERVER_INTERCEPT_H

#include "server/call.h"

/* In the handler's thread, before it: TERN_OK, or the code the call is stopped with (its message is
 * set). Nothing when the server has no interceptors. */
tern_code tern__server_intercept_begin(tern_server_call *call);
/* After it, with the code of the call; returns what became of it. */
tern_code tern__server_intercept_end(tern_server_call *call, tern_code code);

#endif
