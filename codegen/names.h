/* How elements of a .proto are called in C. Messages follow protoc-gen-c letter for letter, because
 * programs that use its output are to go on unchanged; service stubs have names of their own. All
 * results live in the arena. */
#ifndef CODEGEN_NAMES_H
#define CODEGEN_NAMES_H

#include <stdbool.h>

#include "codegen/memory.h"

/* "PutPackage" -> "put_package", "URLThing" -> "urlthing": protoc-gen-c's rule, an underscore
 * between a small letter (or digit) and a capital. */
char *cg_camel_to_lower(cg_arena *a, const char *name);

/* The same in capitals. */
char *cg_camel_to_upper(cg_arena *a, const char *name);

/* "put_package" -> "PutPackage". */
char *cg_to_camel(cg_arena *a, const char *name);

/* Full names, piece by piece, joined by two underscores: "foo.v1.PutPackage" becomes
 * "foo__v1__put_package", "FOO__V1__PUT_PACKAGE" and "Foo__V1__PutPackage". */
char *cg_full_lower(cg_arena *a, const char *full_name);
char *cg_full_upper(cg_arena *a, const char *full_name);
char *cg_full_camel(cg_arena *a, const char *full_name);

/* `full_name` with its leading `package` replaced by `c_package` (NULL: as it is). */
char *cg_override_package(cg_arena *a, const char *full_name, const char *package,
                          const char *c_package);

/* The struct member of a field: small letters, and an underscore after a keyword of C or C++. */
char *cg_member_name(cg_arena *a, const char *field_name);

/* Names of stubs: "package.v1.PackageService" -> "package_v1_package_service"; a run of capitals is
 * one word, so "GetURLList" -> "get_url_list". */
char *cg_snake(cg_arena *a, const char *full_name);

/* cg_snake() after a prefix, with an underscore after a keyword: the name of a stub, or with the
 * prefix "" of a member of a handler table. */
char *cg_stub_name(cg_arena *a, const char *prefix, const char *full_name);

/* Whether C or C++ reserves the word (the list includes what protoc-gen-c avoids). */
bool cg_is_keyword(const char *word);

/* The same with the words that only later versions of both reserve: what names of stubs avoid. */
bool cg_is_reserved(const char *word);

/* "a/b.proto" -> "a/b"; ".protodevel" likewise. */
char *cg_strip_proto(cg_arena *a, const char *file_name);

/* "a/b.proto" -> "a_2fb_2eproto", for include guards. */
char *cg_file_identifier(cg_arena *a, const char *file_name);

#endif
