/* Log interface of the library: formats a line and gives it to the sink that the program set with
 * tern_log_set_sink() (defined in log.c). Nothing is formatted for a level that nobody wants. */
#ifndef TERN__BASE_LOG_H
#define TERN__BASE_LOG_H

#include <tern/log.h>

/* Internal: the highest level the sink wants, -1 without one. */
extern int tern__log_level;

void tern__log_write(tern_log_level level, const char *fmt, ...) TERN_PRINTF(2, 3);

#define TERN__LOG(level, ...)                          \
    do {                                               \
        if ((int)(level) <= tern__log_level)           \
            tern__log_write((level), __VA_ARGS__);     \
    } while (0)

#endif
