/* net.h - HTTP for drivers: blocking requests with budgets; the only user of libcurl.
 *
 * What every request has: a deadline and a cancel flag (struct call), a connect timeout, a byte budget counted in our own
 * write callback (libcurl's is void for chunked bodies), a limit on silence and dripping (idle_timeout_us), a budget for
 * headers, http and https only, TLS verified, no proxy for loopback.  Redirects of GET and HEAD are followed by hand: at most
 * 3, never from https to http; the same origin keeps headers and credentials, another gets none, and another host must have a
 * public address.  Connections are kept alive in a pool of handles per struct http.  Thread-safe.
 * Errors: -ENOENT 404 410, -EACCES 401 403, -EAGAIN 429 503 (retry_after_us set), -EIO other 4xx 5xx and answers cut short,
 * -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET, -EHOSTUNREACH, -ENETUNREACH (DNS), -EPROTO (TLS, HTTP, a redirect that is not
 * followed, a 206 nobody asked for), -EFBIG (over budget), -ECANCELED, -EINVAL (URL or header), the sink's own. */
#pragma once

#include "shutterfs/base.h"

struct http; /* one per camera or store: its connections and its credentials' origin */
enum http_auth { HTTP_AUTH_NONE, HTTP_AUTH_ANY /* Basic or Digest, as challenged */ };
enum { HTTP_HEADERS_MAX = 32, HTTP_META_MAX = 16 };

struct http_request {
	const char *method; /* "GET", "PUT", "HEAD", "POST", "DELETE" */
	const char *url;    /* sent as it is (path as is); user info is refused: use `auth` */
	/* "Name: value"; NULL ends; never sent to another origin */
	const char *header[HTTP_HEADERS_MAX];
	enum http_auth auth;
	const char *user; /* with auth */
	const struct secret *password;
	const void *body; /* NULL: none, or from body_fd */
	int body_fd;      /* used when body is NULL and body_len > 0; read from offset 0 by pread */
	uint64_t body_len;
	uint64_t max_body; /* budget of the answer's body; 0: none is accepted */
	/* signed requests: a 3xx is -EPROTO, with status, location and region in the answer */
	bool keep_redirects;
};

struct http_answer {
	long status;
	uint64_t length; /* bytes of body received */
	bool has_length;
	uint64_t content_length; /* as the headers said (HEAD too) */
	/* "" when absent; etag without its quotes; region is x-amz-bucket-region */
	char content_type[128], etag[160], location[2048], region[64];
	int64_t modified_us; /* Last-Modified; 0: absent */
	struct {
		char name[64];
		char value[512];
	} meta[HTTP_META_MAX]; /* x-amz-meta-*, lower-case name without the prefix */
	size_t n_meta;
	char error_body[4096]; /* first bytes of the body of a status >= 300, NUL-terminated */
};

/* Takes body bytes as they come; -errno ends the transfer with it. Called only for status 200-299; the answer's fields are set by then. */
typedef int http_sink(void *user, const void *data, size_t len);

int net_init(void) MUST_CHECK; /* once, before threads */
void net_done(void);
int http_new(int64_t connect_timeout_us, int64_t idle_timeout_us, struct http **ret) MUST_CHECK;
struct http *http_free(struct http *h); /* no request may be under way */
/* `*ret` is filled whenever the peer answered with a status, also when the status makes the return negative. */
int http_do(struct http *h, struct call *c, const struct http_request *req, http_sink *sink,
	    void *user, struct http_answer *ret) MUST_CHECK;
int http_sink_buf(void *user, const void *data, size_t len); /* user: struct buf */
/* Scheme, host (lower case; IPv6 in its brackets), port, path of a URL; -EINVAL. Parts are copied, `path` with its query. */
struct url {
	char scheme[8], host[256], path[4096];
	unsigned port;
	bool has_userinfo;
};
int url_parse(const char *text, struct url *ret) MUST_CHECK;
/* The URL for logs: no user info, no values of query parameters that look like secrets (pwd, token, key, sig...). */
void url_redact(const char *text, char *out, size_t size);
/* All but A-Za-z0-9-._~; errors stick to `out`. */
int url_escape(const char *text, struct buf *out);

/* Pause before try `n` (1 = after the first failure): full jitter below base * 2^(n-1), capped; a peer's Retry-After wins up to max. */
int64_t retry_pause_us(unsigned n, int64_t base_us, int64_t max_us, int64_t retry_after_us);
/* Sleeps at most `us`, until deadline or cancel: 0, -ETIMEDOUT when the pause would pass the deadline (does not sleep), -ECANCELED. */
int retry_sleep(const struct call *c, int64_t us) MUST_CHECK;
