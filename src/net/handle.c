/* handle.c - the pool of libcurl handles behind a struct http: one per request under way, kept for its connection. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "transfer.h"

#define IDLE_MAX \
	64 /* as many as fetch and sync have threads for one store, unless the config says more */

int net_init(void)
{
	/* a TLS peer that hangs up must be an error, not the end of the process */
	(void)signal(SIGPIPE, SIG_IGN);
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -EIO;
}

void net_done(void)
{
	curl_global_cleanup();
}

static struct handle *handle_free(struct handle *handle)
{
	if (!handle)
		return NULL;
	/* the connections belong to the multi handle */
	curl_easy_cleanup(handle->easy);
	(void)curl_multi_cleanup(handle->multi);
	free(handle);
	return NULL;
}

static struct handle *take_idle(struct http *h)
{
	struct handle *handle;

	pthread_mutex_lock(&h->lock);
	handle = h->idle;
	if (handle) {
		h->idle = handle->next;
		h->n_idle--;
	}
	pthread_mutex_unlock(&h->lock);
	return handle;
}

/* A kept connection on which something came that nobody asked for: its end, or more than an answer's length said,
 * which libcurl before 8.0 would take for the next answer. */
static bool is_stale(const struct handle *handle)
{
	struct pollfd p = {.fd = handle->socket, .events = POLLIN};

	return handle->socket != CURL_SOCKET_BAD && poll(&p, 1, 0) != 0;
}

int handle_get(struct http *h, struct handle **ret)
{
	struct handle *handle;

	while ((handle = take_idle(h)) && is_stale(handle))
		(void)handle_free(handle);
	if (!handle) {
		handle = calloc(1, sizeof(*handle));
		if (!handle)
			return -ENOMEM;
		handle->socket = CURL_SOCKET_BAD;
		handle->easy = curl_easy_init();
		handle->multi = curl_multi_init();
		if (!handle->easy || !handle->multi) {
			(void)handle_free(handle);
			return -ENOMEM;
		}
		/* its own, and that of a redirect */
		(void)curl_multi_setopt(handle->multi, CURLMOPT_MAXCONNECTS, 2L);
	}
	*ret = handle;
	return 0;
}

void handle_put(struct http *h, struct handle *handle)
{
	curl_easy_reset(handle->easy);
	pthread_mutex_lock(&h->lock);
	if (h->n_idle < IDLE_MAX) {
		handle->next = h->idle;
		h->idle = handle;
		h->n_idle++;
		handle = NULL;
	}
	pthread_mutex_unlock(&h->lock);
	(void)handle_free(handle);
}

int http_new(int64_t connect_timeout_us, int64_t idle_timeout_us, struct http **ret)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->connect_timeout_us = connect_timeout_us;
	h->idle_timeout_us = idle_timeout_us;
	(void)pthread_mutex_init(&h->lock, NULL);
	*ret = h;
	return 0;
}

struct http *http_free(struct http *h)
{
	if (!h)
		return NULL;
	while (h->idle) {
		struct handle *handle = h->idle;

		h->idle = handle->next;
		(void)handle_free(handle);
	}
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
	return NULL;
}
