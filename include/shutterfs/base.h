/* base.h - what every room stands on: cleanup, capped buffers, files, time, log, names of errors, a worker pool.
 *
 * libc only.  Fallible functions return 0 or a negative errno; results are written only on success.
 * Units: `_us` = microseconds UTC since 1970, `_ns` = nanoseconds UTC, `mono_us` = monotonic microseconds. */
#pragma once

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
/* Built with a sanitizer that keeps shadow memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- cleanup: CLEANUP(freep) char *s = ...; return TAKE(s); ---- */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define TAKE(p)                            \
	({                                 \
		__typeof__(p) take_ = (p); \
		(p) = (__typeof__(p))0;    \
		take_;                     \
	})
void freep(void *p);  /* frees *(void **)p */
void closep(int *fd); /* closes *fd unless < 0; fds: use TAKE_FD to hand over */
#define TAKE_FD(fd)               \
	({                        \
		int take_ = (fd); \
		(fd) = -1;        \
		take_;            \
	})

/* ---- buffers that are born with their limit; the first error sticks, so emitters check once ---- */
struct buf {
	char *data; /* always NUL-terminated once something was added; NULL before */
	size_t len, cap, max;
	int error; /* 0, -EFBIG (over max) or -ENOMEM: later calls do nothing and return it */
};
#define BUF(limit) ((struct buf){.max = (limit)})
void buf_done(struct buf *b); /* frees; also a CLEANUP function */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);

/* ---- files ---- */
int write_all(int fd, const void *data, size_t len) MUST_CHECK;
int pread_all(int fd, void *data, size_t len, off_t off) MUST_CHECK; /* -EIO when short */
/* The whole file in place of what the file `to` had, on any file systems; neither offset matters. */
int copy_fd(int from, int to) MUST_CHECK;
/* Appends; -EFBIG over max, and nothing is appended. */
int read_file(int dirfd, const char *path, size_t max, struct buf *ret) MUST_CHECK;
/* Old or new, whole, also after power loss; the umask counts. */
int write_file_atomic(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
	MUST_CHECK;
int make_dirs(const char *path, mode_t mode) MUST_CHECK; /* mkdir -p */
/* rm -rf below dirfd: never follows symlinks; not there: 0; goes on after a failure, returns the first. */
int remove_tree(int dirfd, const char *name) MUST_CHECK;

/* ---- time ---- */
int64_t now_us(void);
int64_t mono_us(void);
/* pthread_cond_wait until then (mono_us): 0, or -ETIMEDOUT. */
int cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_us);
struct civil { /* a wall-clock time and its offset from UTC */
	int year, month, day, hour, min, sec, us, zone_min;
};
/* The mount's zone (Area/City): once at start, before threads. NULL: the machine's; -EINVAL: unknown. */
int zone_set(const char *name) MUST_CHECK;
void civil_from_us(int64_t us, struct civil *ret); /* in the mount's zone */
/* use_zone: by c->zone_min; else in the mount's zone: of a repeated hour the first, and a skipped one
 * goes on as the clocks went before it. */
int64_t us_from_civil(const struct civil *c, bool use_zone);
int32_t day_from_civil(int year, int month, int day); /* days since 1970-01-01 */
void civil_from_day(int32_t day, int *year, int *month, int *mday);
bool civil_valid(const struct civil *c); /* a date of the calendar, years 1970-9999, sec <= 59 */
#define ISO_MAX 40
void iso_format(int64_t us, int zone_min, char out[ISO_MAX]); /* 2020-12-31T15:45:55.123456+01:00 */
/* Date and time are needed; no zone given: the mount's. -EINVAL. */
int iso_parse(const char *s, int64_t *ret_us, int *ret_zone_min) MUST_CHECK;

/* ---- SHA-256 as a value (computed in codec) ---- */
struct sha256 {
	uint8_t b[32];
};
#define SHA256_HEX 65
void hex_encode(const uint8_t *data, size_t len, char *out);          /* 2*len + 1 bytes */
int hex_decode(const char *hex, uint8_t *out, size_t len) MUST_CHECK; /* exactly 2*len digits */

/* ---- secrets: a type of their own, so that no format function takes one by accident ---- */
struct secret {
	char *text; /* NULL: none */
};
int secret_set(struct secret *s, const char *text) MUST_CHECK;
void secret_done(struct secret *s); /* wipes */
/* Moves a variable to where /proc/PID/environ does not show it; programs that we start still get it.  Before threads. */
void secret_hide_env(const char *name);

/* ---- one blocking call to the outside: its budget, and what it has to say ---- */
struct call {
	int64_t deadline_us; /* mono_us; 0: the driver's own limits only */
	_Atomic bool
		*cancel; /* or NULL; set by anybody: the call ends with -ECANCELED within 1 s */
	int64_t retry_after_us; /* out: the peer asked for this pause; 0: it did not */
	/* out, on failure: one sentence without secrets: what happened, what to do */
	char why[256];
};
void call_why(struct call *c, const char *fmt, ...) PRINTF(2, 3);
/* err < 0: worth another try (timeouts, resets, busy), as the drivers map them */
bool errno_is_transient(int err);

/* ---- log: one line per event; level 3 error, 4 warning, 6 info, 7 debug (journald's numbers) ---- */
enum { LOG_L_ERR = 3, LOG_L_WARN = 4, LOG_L_INFO = 6, LOG_L_DEBUG = 7 };
void log_setup(int max_level, bool to_syslog); /* stderr gets <N> prefixes when it is journald's */
void log_at(int level, const char *room, const char *fmt, ...) PRINTF(3, 4);
#define log_err(...) log_at(LOG_L_ERR, LOG_ROOM, __VA_ARGS__)
#define log_warn(...) log_at(LOG_L_WARN, LOG_ROOM, __VA_ARGS__)
#define log_info(...) log_at(LOG_L_INFO, LOG_ROOM, __VA_ARGS__)
#define log_debug(...) log_at(LOG_L_DEBUG, LOG_ROOM, __VA_ARGS__)

/* ---- a bounded pool: threads appear on demand up to max and jobs beyond them wait in order ---- */
struct pool;
typedef void pool_fn(void *arg);
int pool_new(const char *name, unsigned max_threads, unsigned max_queued, struct pool **ret)
	MUST_CHECK;
/* -EAGAIN: queue full; -ESHUTDOWN; else fn runs once, with all signals blocked. */
int pool_run(struct pool *p, pool_fn *fn, void *arg) MUST_CHECK;
/* No new jobs; runs what is queued, joins; never from a job of its own. NULL in, NULL out. */
struct pool *pool_free(struct pool *p);
