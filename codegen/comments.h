/* The comments of a .proto, found by the position of an element and made fit for C. */
#ifndef CODEGEN_COMMENTS_H
#define CODEGEN_COMMENTS_H

#include <stddef.h>
#include <stdint.h>

#include <google/protobuf/descriptor.pb-c.h>

#include "codegen/memory.h"
#include "codegen/print.h"

/* Nesting of messages that is followed. protoc itself stops at 32 levels. */
#define CG_NESTING_MAX 64

/* A position: field numbers and indices from the FileDescriptorProto down to the element. */
typedef struct cg_path {
    int32_t at[2 * CG_NESTING_MAX + 4];
    size_t n;
} cg_path;

/* `path` one step deeper: element `index` of the repeated field `number`. */
cg_path cg_path_down(const cg_path *path, int32_t number, size_t index);

/* The commented positions of one file, sorted. */
typedef struct cg_comments {
    const Google__Protobuf__SourceCodeInfo__Location **locations;
    size_t n;
} cg_comments;

/* Collects them; `info` may be NULL. */
cg_comments cg_comments_new(cg_arena *a, const Google__Protobuf__SourceCodeInfo *info);

/* The text at `path`: what stands before the element, then what follows on its line, as lines with
 * no comment signs that are safe within a C comment. NULL when there is none. */
char *cg_comment_at(cg_arena *a, const cg_comments *comments, const cg_path *path);

/* Makes any text safe within a C comment: no end or begin of a comment, no joined lines, no control
 * or direction-changing characters, valid UTF-8. */
char *cg_comment_text(cg_arena *a, const char *text);

/* Writes `text` (from cg_comment_at(); NULL: nothing) as a C comment indented by `indent` spaces.
 * */
void cg_put_comment(cg_out *o, int indent, const char *text);

#endif
