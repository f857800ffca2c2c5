/* check.c - what one key alone cannot tell: required keys, keys that exclude each other, secrets that must be found. */
#include "private.h"

#include <string.h>

static bool is_http(const char *url)
{
	return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

static bool is(const char *driver, const char *name)
{
	return driver && strcmp(driver, name) == 0;
}

/* As it is written: who needs ".." or a link to get there means it. */
static bool is_inside(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (!path[len] || path[len] == '/') &&
	       !strstr(path + len, "/..");
}

void check_main(struct load *l, struct draft *d)
{
	const struct config *c = &d->config;

	if (!c->state || !c->cache)
		return;
	if (strcmp(c->state, c->cache) == 0)
		load_error(
			l, key_line(d, "cache"),
			"state and cache are the same directory: a cache may be deleted, state not");
	else if (is_inside(c->state, c->cache))
		load_error(l, key_line(d, "state"),
			   "state is inside cache: a cache may be deleted, state not");
}

static void find_password(struct load *l, struct draft *d, struct secret *password)
{
	int given = !!password->text + !!d->password_file + !!d->password_env;

	if (given > 1)
		load_error(
			l, d->line,
			"%s \"%s\" has more than one of password, password_file and password_env",
			section_name[d->section], d->name);
	else if (d->password_file)
		secret_from_file(l, key_line(d, "password_file"), "password_file", d->password_file,
				 password);
	else if (d->password_env)
		secret_from_env(l, key_line(d, "password_env"), "password_env", d->password_env,
				password);
}

void check_camera(struct load *l, struct draft *d)
{
	struct camera_config *c = &d->camera;
	bool real = is(c->driver, "http") || is(c->driver, "foscam");

	if (!c->url && !key_line(d, "url"))
		load_error(l, d->line, "camera \"%s\" has no url", d->name);
	else if (real && c->url && !is_http(c->url))
		load_error(l, key_line(d, "url"),
			   "url of camera \"%s\" must begin with http:// or https://", d->name);
	find_password(l, d, &c->password);
}

static void check_s3(struct load *l, struct draft *d)
{
	const struct store_config *s = &d->store;

	if (!s->bucket)
		load_error(l, d->line, "store \"%s\" has no bucket", d->name);
	if (s->endpoint && !is_http(s->endpoint))
		load_error(l, key_line(d, "endpoint"),
			   "endpoint of store \"%s\" must begin with http:// or https://", d->name);
	secret_s3_keys(l, d);
}

/* A component that is "." or "..". */
static bool leaves(const char *path)
{
	for (; *path; path += *path == '/') {
		size_t len = strcspn(path, "/");

		if (len >= 1 && len <= 2 && strspn(path, ".") == len)
			return true;
		path += len;
	}
	return false;
}

static void check_dir(struct load *l, struct draft *d)
{
	const struct store_config *s = &d->store;
	const char *cache = l->draft[0].config.cache;

	if (!s->path && !key_line(d, "path"))
		load_error(l, d->line, "store \"%s\" has no path", d->name);
	else if (s->path && cache && is_inside(s->path, cache))
		load_error(
			l, key_line(d, "path"),
			"path of store \"%s\" is inside cache: a cache may be deleted, a store not",
			d->name);
	if (s->prefix && leaves(s->prefix))
		load_error(l, key_line(d, "prefix"),
			   "prefix of store \"%s\" must not have \".\" or \"..\" in its path",
			   d->name);
}

void check_store(struct load *l, struct draft *d)
{
	const struct store_config *s = &d->store;

	if (!s->driver && !key_line(d, "driver"))
		load_error(l, d->line, "store \"%s\" has no driver: dir or s3", d->name);
	if (is(s->driver, "dir"))
		check_dir(l, d);
	if (s->prefix && s->prefix[0] == '/')
		load_error(l, key_line(d, "prefix"), "prefix of store \"%s\" must not begin with /",
			   d->name);
	if (is(s->driver, "s3"))
		check_s3(l, d);
}

/* Names of one index: what could mean several, or another address, is refused. */
static bool index_ok(const char *name)
{
	return strlen(name) <= 255 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name) &&
	       !strchr("-_.", name[0]);
}

void check_elastic(struct load *l, struct draft *d)
{
	struct elastic_config *e = &d->elastic;

	if (!e->url && !key_line(d, "url"))
		load_error(l, d->line, "elastic \"%s\" has no url", d->name);
	else if (e->url && (!is_http(e->url) || strpbrk(e->url, "?#@")))
		load_error(
			l, key_line(d, "url"),
			"url of elastic \"%s\" must be like https://host:9200, without a password",
			d->name);
	if (!e->index && !key_line(d, "index"))
		load_error(l, d->line, "elastic \"%s\" has no index", d->name);
	else if (e->index && !index_ok(e->index))
		load_error(l, key_line(d, "index"),
			   "index of elastic \"%s\" is not the name of one index", d->name);
	find_password(l, d, &e->password);
	if (d->api_key_file && (e->user || e->password.text))
		load_error(l, d->line, "elastic \"%s\" has both an API key and a user or password",
			   d->name);
	else if (d->api_key_file)
		secret_from_file(l, key_line(d, "api_key_file"), "api_key_file", d->api_key_file,
				 &e->api_key);
	if (e->password.text && !e->user)
		load_error(l, d->line, "elastic \"%s\" has a password, but no user", d->name);
}
