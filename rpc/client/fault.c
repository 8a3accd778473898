/* See fault.h. */
#include "client/fault.h"

#include "base/time.h"
#include "client/call.h"
#include "io/blocking.h"
#include "io/clock.h"
#include "io/context.h"

tern__client_fault tern__client_fault_begin(tern_channel *ch, const tern_method *method,
                                            const tern_metadata *request)
{
    const tern__fault_decision d = tern__faults_begin(ch->opt.fault, method, request);
    return (tern__client_fault){
        .due = d.active,
        .abort = d.abort,
        .code = d.code,
        .until = d.active ? tern__time_add(tern__clock_now(), d.delay_ns) : 0,
    };
}

void tern__client_fault_end(tern_channel *ch, tern__client_fault *f)
{
    if (f->due)
        tern__faults_end(ch->opt.fault);
    f->due = false;
}

tern_code tern__client_fault_status(const tern__client_fault *f, tern_status *err)
{
    if (f->code == TERN_OK) /* as if a server had said it */
        return tern_status_set(err, TERN_UNIMPLEMENTED,
                               "an injected fault ended the call with OK and without a response");
    return tern_status_set(err, f->code, "an injected fault aborted the call");
}

/* TERN_OK when the rest is over. */
static tern_code rest(const tern__client_fault *f, tern_context *parent, int64_t deadline,
                      tern_status *err)
{
    tern__blocking_announce();
    if (tern__context_sleep(parent, tern__time_min(f->until, deadline)) == TERN_CANCELLED)
        return tern_status_set(err, TERN_CANCELLED, "the call was cancelled by its caller");
    if (tern__clock_now() >= deadline)
        return tern_status_set(err, TERN_DEADLINE_EXCEEDED,
                               "the deadline passed in the delay of an injected fault");
    return TERN_OK;
}

void tern__client_fault_count(tern_channel *ch)
{
    pthread_mutex_lock(&ch->lock);
    ch->stats.calls++;
    tern__count_call(&ch->calls, tern__clock_coarse());
    pthread_mutex_unlock(&ch->lock);
}

tern_code tern__client_fault_wait(tern_channel *ch, const tern_method *method,
                                  const tern_call_options *opts, int64_t deadline, tern_status *err)
{
    tern__client_fault f = tern__client_fault_begin(ch, method, opts->metadata);
    tern_code code = TERN_OK;
    if (!f.due)
        return TERN_OK;
    if (f.until > tern__clock_now())
        code = rest(&f, tern__call_parent(opts), deadline, err);
    tern__client_fault_end(ch, &f);
    if (code == TERN_OK && f.abort)
        code = tern__client_fault_status(&f, err);
    if (code != TERN_OK)
        tern__client_fault_count(ch);
    return code;
}
