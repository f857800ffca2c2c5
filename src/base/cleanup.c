/* cleanup.c - what CLEANUP(...) calls at the end of a scope, secrets that are wiped, and what a
 * failed call has to say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shutterfs/base.h"

void freep(void *p)
{
	free(*(void **)p);
}

void closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}

int secret_set(struct secret *s, const char *text)
{
	char *copy = NULL;

	if (text) {
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
	}
	secret_done(s);
	s->text = copy;
	return 0;
}

void secret_hide_env(const char *name)
{
	char *shown = getenv(name), *copy = shown ? strdup(shown) : NULL;

	/* what was set later is in the heap already, and setting it again may not move it */
	if (copy && setenv(name, copy, 1) == 0 && getenv(name) != shown)
		explicit_bzero(shown, strlen(shown));
	if (copy)
		explicit_bzero(copy, strlen(copy));
	free(copy);
}

void secret_done(struct secret *s)
{
	if (s->text)
		explicit_bzero(s->text, strlen(s->text));
	free(s->text);
	s->text = NULL;
}

void call_why(struct call *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
}

bool errno_is_transient(int err)
{
	switch (-err) {
	case EAGAIN:
	case EBUSY:
	case EINTR:
	case EIO: /* net.h: a 5xx, or an answer that broke off */
	case EPIPE:
	case ETIMEDOUT:
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ENETRESET:
		return true;
	default:
		return false;
	}
}
