/* What AddressSanitizer has to be told by code that hands out memory of its own. In other builds
 * the macros are nothing. */
#ifndef TERN__BASE_SANITIZE_H
#define TERN__BASE_SANITIZE_H

#if defined(__SANITIZE_ADDRESS__)
#define TERN__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TERN__ASAN 1
#endif
#endif
#ifndef TERN__ASAN
#define TERN__ASAN 0
#endif

#if TERN__ASAN
#include <sanitizer/asan_interface.h>
/* From here on an access to these bytes is reported; allowed again. */
#define TERN__POISON(ptr, len) ASAN_POISON_MEMORY_REGION((ptr), (len))
#define TERN__UNPOISON(ptr, len) ASAN_UNPOISON_MEMORY_REGION((ptr), (len))
#else
#define TERN__POISON(ptr, len) ((void)(ptr), (void)(len))
#define TERN__UNPOISON(ptr, len) ((void)(ptr), (void)(len))
#endif

#endif
