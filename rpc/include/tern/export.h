/* Symbol visibility and C++ linkage for every public header. */
#ifndef TERN_EXPORT_H
#define TERN_EXPORT_H

#ifdef __cplusplus
#define TERN_BEGIN_DECLS extern "C" {
#define TERN_END_DECLS }
#else
#define TERN_BEGIN_DECLS
#define TERN_END_DECLS
#endif

#if defined(__GNUC__) || defined(__clang__)
#define TERN_API __attribute__((visibility("default")))
#define TERN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define TERN_API
#define TERN_PRINTF(fmt, args)
#endif

#endif
