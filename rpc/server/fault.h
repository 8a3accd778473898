/* Faults of a server (tern/fault.h): a call that is to be delayed stays with its loop, on the timer
 * of its deadline, and holds no thread; then it is answered, or goes on to the gate and its
 * handler. */
#ifndef TERN__SERVER_FAULT_H
#define TERN__SERVER_FAULT_H

#include <stdbool.h>

#include "server/call.h"

struct tern__loop;

/* Values of tern_server_call.fault. */
enum {
    TERN__FAULT_UNDECIDED,
    TERN__FAULT_RESTS, /* tern__faults_end() is due */
    TERN__FAULT_OVER
};

/* By the owner of the loop, of a server with faults. Whether a call that is ready goes on now. */
bool tern__server_fault_pass(struct tern__loop *l, tern_server_call *call);
/* The timer of a resting call has fired. */
void tern__server_fault_expired(tern_server_call *call);
/* A resting call goes. */
void tern__server_fault_gone(tern_server_call *call);

#endif
