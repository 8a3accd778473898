/* Symbol visibility, C++ linkage and initial values, for every public header. */
#ifndef TERN_EXPORT_H
#define TERN_EXPORT_H

#ifdef __cplusplus
#define TERN_BEGIN_DECLS extern "C" {
#define TERN_END_DECLS }
#else
#define TERN_BEGIN_DECLS
#define TERN_END_DECLS
#endif

/* The initial value of a struct of options: `size` is set, all else is zero. A function in C++,
 * which has no designated initializers before C++20. */
#ifdef __cplusplus
#define TERN_INIT(type)                                                                            \
    ([]() -> type {                                                                                \
        type tern_init_ = type();                                                                  \
        tern_init_.size = sizeof(type);                                                            \
        return tern_init_;                                                                         \
    }())
#else
#define TERN_INIT(type) { .size = sizeof(type) }
#endif

#if defined(__GNUC__) || defined(__clang__)
#define TERN_API __attribute__((visibility("default")))
#define TERN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define TERN_API
#define TERN_PRINTF(fmt, args)
#endif

#endif
