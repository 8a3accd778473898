/* Three .proto files as descriptors, with a bit of everything that reflection tells:
 *
 *     t/svc.proto     imports t/outer.proto, bare.proto and gone.proto, which is not there; service
 *                     t.Svc { Get }, extend t.Outer { extra = 100 }
 *     t/outer.proto   t.Outer { field, oneof choice, Inner { deep } }, t.Colour { RED }
 *     bare.proto      Bare, no package; imports t/outer.proto */
#ifndef TESTS_SUPPORT_REFLECTED_H
#define TESTS_SUPPORT_REFLECTED_H

#include <stddef.h>
#include <stdint.h>

#include <tern/method.h>

enum { REFLECTED_FILES = 3, REFLECTED_BYTES_MAX = 512 };

typedef struct reflected {
    tern_file files[REFLECTED_FILES]; /* t/svc.proto first */
    uint8_t *bytes[REFLECTED_FILES];
} reflected;

void reflected_make(reflected *r);
void reflected_free(reflected *r);

#endif
