/* What ThreadSanitizer cannot see. libssl is built without it: two connections that share a TLS
 * session (one resumes what the other was given) count their references with atomics that it does
 * not know of, so the free by whoever lets go last looks like a race with what the other one read
 * before it let go. */
#if defined(__SANITIZE_THREAD__)

const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:SSL_SESSION_free\n"
           "race:OPENSSL_sk_free\n";
}

#else

typedef int tern_soak_needs_no_suppressions; /* a file is not to be empty */

#endif
