/* See fault.h. */
#include "server/fault.h"

#include "base/time.h"
#include "io/clock.h"
#include "io/fault.h"
#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"
#include "server/stream.h"

static void end(tern_server_call *call)
{
    call->fault = TERN__FAULT_OVER;
    tern__faults_end(call->loop->server->opt.fault);
}

static void abort_call(tern_server_call *call, tern_code code)
{
    tern__respond_status(call, code, code == TERN_OK ? NULL : "an injected fault aborted the call");
    call->rejected = true;
    if (call->stream)
        tern__server_stream_stop(call);
}

bool tern__server_fault_pass(tern__loop *l, tern_server_call *call)
{
    if (call->fault != TERN__FAULT_UNDECIDED)
        return true;
    const tern__fault_decision d =
        tern__faults_begin(l->server->opt.fault, call->method->method, &call->metadata);
    call->fault = TERN__FAULT_OVER;
    if (!d.active)
        return true;
    call->fault = TERN__FAULT_RESTS;
    call->fault_aborts = d.abort;
    call->fault_code = d.code;
    if (d.delay_ns > 0) {
        call->fault_until = tern__time_add(tern__clock_now(), d.delay_ns);
        tern__heap_remove(&l->deadlines, &call->timer); /* there since its headers came */
        int64_t until = tern__time_min(call->fault_until, call->context.deadline);
        if (tern__heap_insert(&l->deadlines, &call->timer, until) == 0)
            return false;
    }
    end(call); /* also without memory for its timer: then there is no delay */
    if (d.abort)
        abort_call(call, d.code);
    return !d.abort;
}

void tern__server_fault_expired(tern_server_call *call)
{
    bool late = tern__clock_now() < call->fault_until;
    end(call);
    if (call->rejected)
        return; /* it was answered while it rested: a drain has ended it */
    if (late)
        tern__call_break(call, TERN_DEADLINE_EXCEEDED,
                         "the deadline passed in the delay of an injected fault");
    else if (call->fault_aborts)
        abort_call(call, call->fault_code);
    else
        tern__loop_ready(call->loop, call);
}

void tern__server_fault_gone(tern_server_call *call)
{
    end(call);
}
