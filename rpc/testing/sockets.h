/* The sockets of tests: on Unix sockets without a file, under names that nobody else has. */
#ifndef TERN__TESTING_SOCKETS_H
#define TERN__TESTING_SOCKETS_H

#include <tern/testing.h>

void tern__testing_make_target(char target[TERN_TESTING_TARGET_MAX]);

bool tern__testing_is_target(const char *target);

/* Non-blocking, for what is one; a descriptor, or a negative errno. */
int tern__testing_listen_at(const char *target);
int tern__testing_connect_to(const char *target);

/* Makes an event descriptor readable. */
void tern__testing_wake(int event_fd);

#endif
