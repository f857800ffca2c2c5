/* transfer.h - one HTTP exchange with libcurl, no redirects: what it is given, and what came of it.  Private to net. */
#pragma once

#include <curl/curl.h>
#include <pthread.h>

#include "answer.h"

/* One connection's worth of libcurl.  It has a multi handle of its own, so that waiting can be interrupted and its
 * connection stays alive between requests. */
struct handle {
	CURLM *multi;
	CURL *easy;
	curl_socket_t socket; /* of the last exchange; CURL_SOCKET_BAD: none is kept */
	struct handle *next;  /* in http.idle */
};

struct http {
	int64_t connect_timeout_us, idle_timeout_us;
	pthread_mutex_t lock;
	struct handle *
		idle; /* protected by lock; the last one used comes first: its connection is the warmest */
	unsigned n_idle; /* protected by lock */
};

struct transfer {
	struct call *call;
	const struct http_request *req;
	const char *url;
	bool foreign; /* not the origin of the request: none of its headers, none of its credentials */
	bool public_only; /* not its host either: only addresses of the public network */
	http_sink *sink;
	void *user;
	struct answer answer;
	int error;        /* what our own callbacks ended it with: -errno, or 0 */
	bool sink_failed; /* `error` is the sink's */
	bool refused;     /* an address that is not public was not connected to */
	bool enough;      /* the rest of an error's body is not worth reading */
	bool connected;   /* the request could be sent */
	uint64_t sent;    /* position in the request's body */
	int64_t mark_us;  /* when enough bytes had moved last */
	uint64_t moved;   /* bytes since then, both ways */
	char detail[CURL_ERROR_SIZE];
};

int handle_get(struct http *h, struct handle **ret) MUST_CHECK;
/* Back to the pool, or freed; nothing of the request stays in it. */
void handle_put(struct http *h, struct handle *handle);
/* Runs it; 0 when an answer came to its end, whatever its status. Sets call.why on failure. */
int transfer_run(struct http *h, struct handle *handle, struct transfer *t) MUST_CHECK;
/* "host" or "host:port" of a parsed URL, for people. */
void url_where(const struct url *u, char *out, size_t size);
