/* A context: the deadline and the cancellation that a call inherits. Every server call has one;
 * a program can make its own, to cancel calls or to bound several calls by one deadline.
 *
 * All functions may be called from any thread. */
#ifndef TERN_CONTEXT_H
#define TERN_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/export.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

typedef struct tern_context tern_context;

/* What tern_context_remaining_ms() returns when there is no deadline. */
#define TERN_NO_DEADLINE INT64_MAX

/* A new context. `timeout_ms` > 0 sets a deadline that many milliseconds from now, 0 sets none;
 * with a parent (borrowed; NULL for none) the earlier deadline counts, and cancelling the parent
 * cancels this one. The parent must outlive the child. NULL when out of memory. */
TERN_API tern_context *tern_context_new(tern_context *parent, int64_t timeout_ms);

/* Frees a context made by tern_context_new(), when no call uses it any more. NULL is fine. A
 * context borrowed from a server call is never freed by its borrower. */
TERN_API void tern_context_free(tern_context *ctx);

/* Cancels every call that runs under `ctx` now or later: they end with CANCELLED. Idempotent. */
TERN_API void tern_context_cancel(tern_context *ctx);

/* Whether the context was cancelled or its deadline has passed: TERN_OK, TERN_CANCELLED or
 * TERN_DEADLINE_EXCEEDED. TERN_OK for NULL. */
TERN_API tern_code tern_context_error(const tern_context *ctx);

/* Milliseconds until the deadline, 0 when it has passed, TERN_NO_DEADLINE without one or for
 * NULL. */
TERN_API int64_t tern_context_remaining_ms(const tern_context *ctx);

TERN_END_DECLS

#endif
