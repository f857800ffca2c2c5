/* print.c - the config as text that may be shown to anybody: secrets masked, in URLs too. */
#include "private.h"

#include <string.h>

/* Query parameters of cameras that are never secret; all others are masked. */
static const char *const harmless[] = {
	"cmd",      "channel",    "chn",     "camera",      "cam",
	"stream",   "src",        "width",   "height",      "w",
	"h",        "resolution", "quality", "compression", "snapShotImageType",
	"snapType", "size",       "rotate",  "Resolution",  "Quality",
	"cache"};

static bool is_harmless(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
		if (strlen(harmless[i]) == len && strncmp(harmless[i], name, len) == 0)
			return true;
	return false;
}

static void print_query(const char *p, struct buf *out)
{
	while (*p) {
		size_t len = strcspn(p, "&"), name = strcspn(p, "=&");

		if (is_harmless(p, name))
			(void)buf_add(out, p, len);
		else if (name < len)
			(void)buf_printf(out, "%.*s=****", (int)name, p);
		else
			(void)buf_str(out, "****");
		p += len;
		if (*p == '&') {
			(void)buf_add(out, p, 1);
			p++;
		}
	}
}

void print_url(const char *url, struct buf *out)
{
	const char *host = strstr(url, "://"), *end, *at, *colon, *query = strchr(url, '?');

	host = host ? host + 3 : url;
	end = host + strcspn(host, "/?#");
	at = memrchr(host, '@', (size_t)(end - host));
	if (at) {
		colon = memchr(host, ':', (size_t)(at - host));
		(void)buf_add(out, url, (size_t)((colon ? colon + 1 : host) - url));
		(void)buf_str(out, "****");
		url = at;
	}
	if (!query) {
		(void)buf_str(out, url);
		return;
	}
	(void)buf_add(out, url, (size_t)(query + 1 - url));
	print_query(query + 1, out);
}

/* Rows whose value lies within [base, base + size) of a draft; `object` is that part. */
static void print_section(enum section section, const void *object, size_t base, size_t size,
			  struct buf *out)
{
	for (size_t i = 0; i < config_n_keys; i++) {
		const struct key *k = &config_keys[i];

		if (k->section == section && k->offset >= base && k->offset < base + size)
			k->kind->print(k, (const char *)object + (k->offset - base), out);
	}
}

int config_print(const struct config *c, struct buf *out)
{
	(void)buf_printf(out, "; %s\n[shutterfs]\n", c->file ? c->file : "embedded defaults");
	print_section(SECTION_MAIN, c, offsetof(struct draft, config), sizeof(*c), out);
	for (size_t i = 0; i < c->n_cameras; i++) {
		(void)buf_printf(out, "\n[camera \"%s\"]\n", c->camera[i].name);
		print_section(SECTION_CAMERA, &c->camera[i], offsetof(struct draft, camera),
			      sizeof(c->camera[i]), out);
	}
	for (size_t i = 0; i < c->n_stores; i++) {
		const struct store_config *s = &c->store[i];

		(void)buf_printf(out, "\n[store \"%s\"]\n", s->name);
		print_section(SECTION_STORE, s, offsetof(struct draft, store), sizeof(*s), out);
		if (s->access_key.text)
			(void)buf_printf(out, "; access key ****, secret key ****%s\n",
					 s->session_token.text ? ", session token ****" : "");
	}
	for (size_t i = 0; i < c->n_elastics; i++) {
		const struct elastic_config *e = &c->elastic[i];

		(void)buf_printf(out, "\n[elastic \"%s\"]\n", e->name);
		print_section(SECTION_ELASTIC, e, offsetof(struct draft, elastic), sizeof(*e), out);
		if (e->api_key.text)
			(void)buf_str(out, "; API key ****\n");
	}
	return out->error;
}
