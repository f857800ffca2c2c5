/* load.c - reads the config file: inih splits lines into keys and values, this file knows sections, lines and errors.
 *
 * Sections are read here because inih cuts their names at 50 bytes and does not tell of empty ones; lines are counted here
 * because it does not tell their numbers.  All errors of a file are reported together. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_BYTES = 1024 * 1024,
	ERRORS_SHOWN = 20,
	DRAFTS_MAX = 1 + CONFIG_CAMERAS_MAX + CONFIG_STORES_MAX + CONFIG_ELASTICS_MAX
};

/* ---- errors ---- */

int load_fail(struct load *l, enum load_fault fault, unsigned line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	l->faults |= fault;
	if (++l->errors <= ERRORS_SHOWN) {
		va_start(ap, fmt);
		(void)vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		if (line)
			(void)buf_printf(l->err, "%s:%u: %s\n", l->file, line, text);
		else
			(void)buf_printf(l->err, "%s: %s\n", l->file, text);
	}
	return fault == LOAD_REFUSED ? -EACCES : -EINVAL;
}

int load_no_memory(struct load *l)
{
	l->fatal = -ENOMEM;
	return -ENOMEM;
}

/* ---- drafts ---- */

static void camera_done(struct camera_config *c)
{
	free(c->name);
	free(c->title);
	free(c->driver);
	free(c->url);
	free(c->user);
	free(c->group);
	secret_done(&c->password);
}

static void store_done(struct store_config *s)
{
	free(s->name);
	free(s->driver);
	free(s->path);
	free(s->endpoint);
	free(s->region);
	free(s->bucket);
	free(s->prefix);
	free(s->layout);
	free(s->profile);
	secret_done(&s->access_key);
	secret_done(&s->secret_key);
	secret_done(&s->session_token);
}

static void elastic_done(struct elastic_config *e)
{
	free(e->name);
	free(e->url);
	free(e->index);
	free(e->user);
	secret_done(&e->password);
	secret_done(&e->api_key);
}

static void main_done(struct config *c)
{
	free(c->file);
	free(c->state);
	free(c->cache);
	free(c->timezone);
}

void draft_done(struct draft *d)
{
	free(d->name);
	main_done(&d->config);
	camera_done(&d->camera);
	store_done(&d->store);
	elastic_done(&d->elastic);
	free(d->api_key_file);
	free(d->password_file);
	free(d->password_env);
	free(d->access_key_file);
	free(d->secret_key_file);
	free(d->session_token_file);
}

struct config *config_free(struct config *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->n_cameras; i++)
		camera_done(&c->camera[i]);
	for (size_t i = 0; i < c->n_stores; i++)
		store_done(&c->store[i]);
	for (size_t i = 0; i < c->n_elastics; i++)
		elastic_done(&c->elastic[i]);
	free(c->camera);
	free(c->store);
	free(c->elastic);
	main_done(c);
	free(c);
	return NULL;
}

static void config_freep(struct config **c)
{
	*c = config_free(*c);
}

static void load_done(struct load *l)
{
	for (size_t i = 0; i < l->n_drafts; i++)
		draft_done(&l->draft[i]);
	free(l->draft);
	free(l->dir);
}

static struct draft *find_draft(struct load *l, enum section section, const char *name)
{
	for (size_t i = 0; i < l->n_drafts; i++)
		if (l->draft[i].section == section && strcmp(l->draft[i].name, name) == 0)
			return &l->draft[i];
	return NULL;
}

/* The array has its full size from the start, so pointers into it stay. */
static struct draft *add_draft(struct load *l, enum section section, const char *name,
			       unsigned line)
{
	struct draft *d = &l->draft[l->n_drafts];
	size_t same = 0,
	       limit[SECTIONS] = {1, CONFIG_CAMERAS_MAX, CONFIG_STORES_MAX, CONFIG_ELASTICS_MAX};

	for (size_t i = 0; i < l->n_drafts; i++)
		same += l->draft[i].section == section;
	if (same == limit[section]) {
		(void)load_error(l, line, "more than %zu sections [%s]", same,
				 section_name[section]);
		return NULL;
	}
	*d = (struct draft){.section = section,
			    .line = line,
			    .name = strdup(name),
			    .config.sidecars = SIDECARS_DEFAULT};
	if (!d->name) {
		(void)load_no_memory(l);
		return NULL;
	}
	l->n_drafts++;
	return d;
}

/* ---- lines ---- */

static void open_section(struct load *l, const char *word, const char *name)
{
	struct draft *old;
	unsigned s;

	for (s = 0; s < SECTIONS && strcmp(word, section_name[s]) != 0; s++)
		;
	if (s == SECTIONS) {
		(void)load_error(
			l, l->line,
			"there is no section [%s]: [shutterfs], [camera \"name\"], [store \"name\"] and [elastic \"name\"] are there",
			word);
		return;
	}
	if (!name != (s == SECTION_MAIN)) {
		(void)load_error(l, l->line,
				 name ? "[%s] has no name" : "[%s] needs a name: [%s \"name\"]",
				 word, word);
		return;
	}
	if (name && !camera_name_ok(name)) {
		(void)load_error(l, l->line, "\"%s\" cannot name a %s: 1 to %d of A-Z a-z 0-9 _ -",
				 name, word, CAMERA_MAX);
		return;
	}
	old = find_draft(l, (enum section)s, name ? name : "");
	if (old && old->line) {
		(void)load_error(l, l->line, "this section stands twice, first in line %u",
				 old->line);
		return;
	}
	if (old)
		old->line = l->line;
	l->current = old ? old : add_draft(l, (enum section)s, name ? name : "", l->line);
}

/* [word] or [word "name"], and nothing but a comment behind it. */
static void section_line(struct load *l, const char *text)
{
	char word[32] = "", name[256] = "", close[2] = "";
	int n = 0;

	l->current = NULL;
	l->skipping = true; /* keys of a section that is wrong are not errors of their own */
	if (sscanf(text, "[%31[^] \t\"] \"%255[^\"]\" %1[]]%n", word, name, close, &n) == 3)
		;
	else if (sscanf(text, "[%31[^] \t\"] %1[]]%n", word, close, &n) == 2)
		name[0] = '\0';
	else
		n = 0;
	if (n > 0)
		n += (int)strspn(text + n, " \t\r\n");
	if (n == 0 || (text[n] && text[n] != ';' && text[n] != '#'))
		(void)load_error(
			l, l->line,
			"a section looks like [shutterfs], [camera \"name\"] or [store \"name\"]");
	else
		open_section(l, word, name[0] ? name : NULL);
}

static void end_pending(struct load *l)
{
	if (l->pending)
		(void)load_error(l, l->line, "this line is neither [section] nor key = value");
	l->pending = false;
}

/* inih's fgets: hands out lines that hold a key, others as empty ones. */
static char *next_line(char *out, int size, void *user)
{
	struct load *l = user;
	const char *end;
	size_t len;

	end_pending(l);
	if (l->p == l->end)
		return NULL;
	end = memchr(l->p, '\n', (size_t)(l->end - l->p));
	end = end ? end : l->end;
	len = (size_t)(end - l->p);
	l->line++;
	out[0] = '\0';
	while (len > 0 && strchr(" \t", *l->p)) { /* else inih takes it for a continuation */
		l->p++;
		len--;
	}
	if (memchr(l->p, '\0', len)) {
		(void)load_error(l, l->line, "this line has a NUL byte");
	} else if (len > 0 && !strchr(";#[\r", *l->p)) {
		if (len + 2 <= (size_t)size)
			(void)snprintf(out, (size_t)size, "%.*s", (int)len, l->p);
		else
			(void)load_error(l, l->line, "this line is longer than %d bytes", size - 2);
		l->pending = out[0] != '\0';
	} else if (len > 0 && *l->p == '[') {
		char header[512];

		(void)snprintf(header, sizeof(header), "%.*s", (int)len, l->p);
		section_line(l, header);
	}
	l->p = end < l->end ? end + 1 : end;
	if (!out[0])
		(void)snprintf(out, (size_t)size, "\n");
	return out;
}

static int on_value(void *user, const char *section, const char *name, const char *value)
{
	struct load *l = user;
	struct draft *d = l->current;
	const struct key *k;
	const char *like;

	l->pending = false;
	if (!d && l->skipping)
		return 1;
	if (!d) {
		(void)load_error(l, l->line, "\"%s\" stands before the first section", name);
		return 1;
	}
	k = key_find(d->section, name);
	if (!k) {
		like = key_like(d->section, name);
		(void)load_error(l, l->line, "[%s] has no key \"%s\"%s%s%s",
				 section_name[d->section], name, like ? ": did you mean \"" : "",
				 like ? like : "", like ? "\"?" : "");
		return 1;
	}
	if (d->key_line[key_index(k)]) {
		(void)load_error(l, l->line, "\"%s\" stands twice, first in line %u", name,
				 d->key_line[key_index(k)]);
		return 1;
	}
	d->key_line[key_index(k)] = l->line;
	(void)k->kind->read(l, l->line, k, value, (char *)d + k->offset);
	return 1;
}

static void parse(struct load *l, const char *text, size_t len)
{
	size_t bom = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

#ifdef INI_RUNTIME_LIMITS /* Debian's; elsewhere lines are at most 198 bytes, and longer ones are reported */
	ini_use_stack = false;
	ini_max_line = ini_initial_alloc = 8192;
#endif
	l->p = text + bom;
	l->end = text + len;
	if (ini_parse_stream(next_line, l, on_value, l) == -2)
		(void)load_no_memory(l);
	end_pending(l);
}

/* ---- defaults, and drafts to a config ---- */

static void apply_defaults(struct load *l, struct draft *d)
{
	for (size_t i = 0; i < config_n_keys; i++) {
		const struct key *k = &config_keys[i];

		if (k->section == d->section && k->initial && !d->key_line[key_index(k)])
			(void)k->kind->read(l, d->line, k, k->initial, (char *)d + k->offset);
	}
}

/* Without a store: a plain directory, so that uploading works at once. */
static void add_archive(struct load *l)
{
	struct draft *d;

	for (size_t i = 0; i < l->n_drafts; i++)
		if (l->draft[i].section == SECTION_STORE)
			return;
	d = add_draft(l, SECTION_STORE, "archive", 0);
	if (!d)
		return;
	(void)kind_driver.read(l, 0, key_find(SECTION_STORE, "driver"), "dir", &d->store.driver);
	(void)kind_path.read(l, 0, key_find(SECTION_STORE, "path"),
			     "$XDG_DATA_HOME/shutterfs/archive", &d->store.path);
}

static void complete(struct load *l)
{
	static void (*const check[SECTIONS])(struct load * l, struct draft * d) = {
		check_main, check_camera, check_store, check_elastic};

	add_archive(l);
	for (size_t i = 0; i < l->n_drafts && !l->fatal; i++) {
		struct draft *d = &l->draft[i];

		apply_defaults(l, d);
		check[d->section](l, d);
		if (d->section == SECTION_CAMERA && !d->camera.title && !l->fatal)
			(void)kind_text.read(l, d->line, key_find(SECTION_CAMERA, "title"), d->name,
					     &d->camera.title);
	}
	if (l->errors > ERRORS_SHOWN)
		(void)buf_printf(l->err, "%s: and %u more errors\n", l->file,
				 l->errors - ERRORS_SHOWN);
}

/* Moves what the drafts own. */
static int assemble(struct load *l, const char *file, struct config **ret)
{
	CLEANUP(config_freep) struct config *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = l->draft[0].config;
	l->draft[0].config = (struct config){0};
	c->camera = calloc(l->n_drafts, sizeof(*c->camera));
	c->store = calloc(l->n_drafts, sizeof(*c->store));
	c->file = file ? strdup(file) : NULL;
	c->elastic = calloc(l->n_drafts, sizeof(*c->elastic));
	if (!c->camera || !c->store || !c->elastic || (file && !c->file))
		return -ENOMEM;
	for (size_t i = 1; i < l->n_drafts; i++) {
		struct draft *d = &l->draft[i];

		if (d->section == SECTION_CAMERA) {
			d->camera.name = TAKE(d->name);
			c->camera[c->n_cameras++] = d->camera;
			d->camera = (struct camera_config){0};
		} else if (d->section == SECTION_ELASTIC) {
			d->elastic.name = TAKE(d->name);
			c->elastic[c->n_elastics++] = d->elastic;
			d->elastic = (struct elastic_config){0};
		} else {
			d->store.name = TAKE(d->name);
			c->store[c->n_stores++] = d->store;
			d->store = (struct store_config){0};
		}
	}
	*ret = TAKE(c);
	return 0;
}

/* ---- the file ---- */

/* "/etc/x/y.conf" for "y.conf": the daemon leaves the directory that it was started in. */
static int absolute(const char *file, char **ret)
{
	CLEANUP(freep) char *cwd = NULL;

	if (file[0] == '/') {
		*ret = strdup(file);
		return *ret ? 0 : -ENOMEM;
	}
	cwd = getcwd(NULL, 0);
	return cwd ? path_expand(cwd, file, ret) : -errno;
}

/* `file` absolute, `shown` as the user wrote it; NULL: embedded defaults. */
static int load_text(const char *file, const char *shown, const struct buf *text, bool is_private,
		     struct buf *err, struct config **ret, char **ret_state)
{
	CLEANUP(load_done)
	struct load l = {.file = shown ? shown : "embedded defaults", .err = err};

	l.file_is_private = is_private;
	l.draft = calloc(DRAFTS_MAX, sizeof(*l.draft));
	l.dir = strdup(file ? file : "/");
	if (!l.draft || !l.dir)
		return -ENOMEM;
	*strrchr(l.dir, '/') = '\0'; /* "" is the root */
	if (!add_draft(&l, SECTION_MAIN, "", 0))
		return -ENOMEM;
	if (text->len)
		parse(&l, text->data, text->len);
	complete(&l);
	if (l.fatal)
		return l.fatal;
	if (l.faults & LOAD_WRONG)
		return -EINVAL;
	*ret_state = strdup(l.draft[0].config.state);
	if (!*ret_state)
		return -ENOMEM;
	if (l.faults)
		return l.faults & LOAD_LACKS ? -EINVAL : -EACCES;
	return assemble(&l, file, ret);
}

static int load_file(const char *file, struct buf *err, struct config **ret, char **ret_state)
{
	CLEANUP(buf_wipe) struct buf text = BUF(FILE_BYTES);
	CLEANUP(freep) char *path = NULL;
	CLEANUP(closep) int fd = -1;
	int r = absolute(file, &path);

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : read_fd(fd, &text);
	if (r < 0) {
		(void)buf_printf(err, "%s: cannot be read: %s\n", file,
				 r == -EFBIG ? "it is larger than 1 MiB" : strerror(-r));
		return r;
	}
	return load_text(path, file, &text, file_is_private(fd), err, ret, ret_state);
}

int config_load_or_state(const char *file, struct buf *err, struct config **ret, char **ret_state)
{
	static const char *const places[] = {"$XDG_CONFIG_HOME/shutterfs/shutterfs.conf",
					     "/etc/shutterfs/shutterfs.conf"};
	struct buf nothing = BUF(0);

	secret_hide_proxies();
	if (file)
		return load_file(file, err, ret, ret_state);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		CLEANUP(freep) char *path = NULL;
		int r = path_expand("/", places[i], &path);

		if (r == -ENOMEM)
			return r;
		if (r == 0 && (access(path, F_OK) == 0 || errno != ENOENT))
			return load_file(path, err, ret, ret_state);
	}
	return load_text(NULL, NULL, &nothing, false, err, ret, ret_state);
}

int config_load(const char *file, struct buf *err, struct config **ret)
{
	CLEANUP(freep) char *state = NULL;

	return config_load_or_state(file, err, ret, &state);
}
