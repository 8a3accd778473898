/* Where the library tells what a program may want to know. It never prints by itself: without a
 * sink, messages are dropped. */
#ifndef TERN_LOG_H
#define TERN_LOG_H

#include <tern/export.h>

TERN_BEGIN_DECLS

typedef enum tern_log_level {
    TERN_LOG_ERROR = 0,
    TERN_LOG_WARNING = 1,
    TERN_LOG_INFO = 2,
    TERN_LOG_DEBUG = 3
} tern_log_level;

/* Receives one line without a newline, borrowed for the call. Called from any thread, perhaps
 * within a lock of the library: it must not call back into the library. */
typedef void (*tern_log_sink)(tern_log_level level, const char *line, void *ctx);

/* Sets the process-wide sink (NULL: none) and the highest level it gets. Call it before other
 * threads use the library. */
TERN_API void tern_log_set_sink(tern_log_level level_max, tern_log_sink sink, void *ctx);

/* A ready sink that writes "tern: warning: …" lines to stderr. */
TERN_API void tern_log_to_stderr(tern_log_level level, const char *line, void *ctx);

TERN_END_DECLS

#endif
