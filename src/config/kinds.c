/* kinds.c - how each kind of value is read from the file and shown again. */
#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- text ---- */

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

static int set_text(struct load *l, const char *text, char **field)
{
	char *copy = strdup(text);

	if (!copy)
		return load_no_memory(l);
	free(*field);
	*field = copy;
	return 0;
}

static int read_text(struct load *l, unsigned line, const struct key *k, const char *text,
		     void *field)
{
	if (has_control(text))
		return load_error(l, line, "\"%s\" has control characters", k->name);
	if (!text[0]) /* as if it were not there */
		return 0;
	return set_text(l, text, field);
}

static int read_title(struct load *l, unsigned line, const struct key *k, const char *text,
		      void *field)
{
	if (!text_ok(text, NAME_LIMIT))
		return load_error(l, line, "\"%s\" must be UTF-8 text of at most %d bytes", k->name,
				  NAME_LIMIT);
	return read_text(l, line, k, text, field);
}

static void print_text(const struct key *k, const void *field, struct buf *out)
{
	const char *text = *(char *const *)field;

	if (text)
		(void)buf_printf(out, "%s = %s\n", k->name, text);
}

static int read_path(struct load *l, unsigned line, const struct key *k, const char *text,
		     void *field)
{
	CLEANUP(freep) char *path = NULL;
	size_t len;
	int r;

	if (!text[0] || has_control(text))
		return load_error(l, line, "\"%s\" is not a path", k->name);
	r = path_expand(l->dir, text, &path);
	if (r == -ENOENT)
		return load_error(l, line, "\"%s\": %s needs HOME to be set", k->name, text);
	if (r < 0)
		return load_no_memory(l);
	len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	return set_text(l, path, field);
}

static int read_url(struct load *l, unsigned line, const struct key *k, const char *text,
		    void *field)
{
	const char *host = strstr(text, "://");

	if (!host || host == text || !host[3] || strpbrk(text, " \t\"<>\\") || has_control(text))
		return load_error(l, line,
				  "\"%s\" is not a URL like http://192.168.1.10/snapshot.jpg",
				  k->name);
	return set_text(l, text, field);
}

static void print_url_key(const struct key *k, const void *field, struct buf *out)
{
	const char *text = *(char *const *)field;

	if (!text)
		return;
	(void)buf_printf(out, "%s = ", k->name);
	print_url(text, out);
	(void)buf_str(out, "\n");
}

static int read_secret(struct load *l, unsigned line, const struct key *k, const char *text,
		       void *field)
{
	if (!text[0])
		return load_error(l, line, "\"%s\" is empty", k->name);
	if (!l->file_is_private)
		return load_refused(
			l, line,
			"\"%s\" stands in a file that others may read: chmod 600 %s, or use %s_file",
			k->name, l->file, k->name);
	return secret_set(field, text) < 0 ? load_no_memory(l) : 0;
}

static void print_secret(const struct key *k, const void *field, struct buf *out)
{
	if (((const struct secret *)field)->text)
		(void)buf_printf(out, "%s = ****\n", k->name);
}

/* ---- numbers with units ---- */

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit durations[] = {{"d", 86400 * 1000000LL},
					{"h", 3600 * 1000000LL},
					{"m", 60 * 1000000LL},
					{"s", 1000000},
					{"ms", 1000}};
static const struct unit sizes[] = {
	{"T", 1LL << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};

/* Digits; behind them *text stands at the unit. */
static bool take_number(const char **text, int64_t *ret)
{
	const char *p = *text;
	int64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return false;
	if (p == *text)
		return false;
	*text = p;
	*ret = n;
	return true;
}

/* "90s", "1h30m"; false: none. */
static bool parse_duration(const char *text, int64_t *ret)
{
	int64_t total = 0, n;

	if (strcmp(text, "0") == 0) {
		*ret = 0;
		return true;
	}
	do {
		const struct unit *unit = NULL;
		size_t len;

		if (!take_number(&text, &n))
			return false;
		len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
		for (size_t i = 0; i < ARRAY_LEN(durations); i++)
			if (len == strlen(durations[i].name) &&
			    strncmp(text, durations[i].name, len) == 0)
				unit = &durations[i];
		if (!unit || __builtin_mul_overflow(n, unit->factor, &n) ||
		    __builtin_add_overflow(total, n, &total))
			return false;
		text += len;
	} while (*text);
	*ret = total;
	return true;
}

/* "20G", "512MiB", "1000"; false: none. */
static bool parse_size(const char *text, int64_t *ret)
{
	char name[2] = "";
	int64_t n;

	if (!take_number(&text, &n))
		return false;
	if (*text)
		name[0] = *text++;
	if (*text && strcmp(text, "iB") != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		if (strcasecmp(name, sizes[i].name) == 0)
			return !__builtin_mul_overflow(n, sizes[i].factor, ret);
	return false;
}

static void print_units(const struct unit *units, size_t n, int64_t value, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		if (value % units[i].factor || (!value && i + 1 < n))
			continue;
		(void)buf_printf(out, "%lld%s", (long long)(value / units[i].factor),
				 units[i].name);
		return;
	}
}

static int in_range(struct load *l, unsigned line, const struct key *k, int64_t value,
		    const struct unit *units, size_t n)
{
	CLEANUP(buf_done) struct buf limits = BUF(100);
	bool low = value < k->min;

	if (!low && value <= k->max)
		return 0;
	print_units(units, n, low ? k->min : k->max, &limits);
	return load_error(l, line, "\"%s\" must be at %s %s", k->name, low ? "least" : "most",
			  limits.data ? limits.data : "");
}

static int read_duration(struct load *l, unsigned line, const struct key *k, const char *text,
			 void *field)
{
	int64_t value = 0;
	int r;

	if (!parse_duration(text, &value))
		return load_error(l, line, "\"%s = %s\" is not a duration like 10s, 15m, 24h or 1d",
				  k->name, text);
	r = in_range(l, line, k, value, durations, ARRAY_LEN(durations));
	if (r == 0)
		*(int64_t *)field = value;
	return r;
}

static void print_duration(const struct key *k, const void *field, struct buf *out)
{
	int64_t value = *(const int64_t *)field;

	if (!value && !k->initial) /* 0 is the absent value */
		return;
	(void)buf_printf(out, "%s = ", k->name);
	print_units(durations, ARRAY_LEN(durations), value, out);
	(void)buf_str(out, "\n");
}

static int read_size(struct load *l, unsigned line, const struct key *k, const char *text,
		     void *field)
{
	int64_t value = 0;
	int r;

	if (!parse_size(text, &value))
		return load_error(l, line, "\"%s = %s\" is not a size like 512M, 20G or 1T",
				  k->name, text);
	r = in_range(l, line, k, value, sizes, ARRAY_LEN(sizes));
	if (r == 0)
		*(uint64_t *)field = (uint64_t)value;
	return r;
}

static void print_size(const struct key *k, const void *field, struct buf *out)
{
	(void)buf_printf(out, "%s = ", k->name);
	print_units(sizes, ARRAY_LEN(sizes), (int64_t) * (const uint64_t *)field, out);
	(void)buf_str(out, "\n");
}

static int read_count(struct load *l, unsigned line, const struct key *k, const char *text,
		      void *field)
{
	const char *p = text;
	int64_t value = 0;
	int r;

	if (!take_number(&p, &value) || *p)
		return load_error(l, line, "\"%s = %s\" is not a number", k->name, text);
	r = in_range(l, line, k, value, &sizes[ARRAY_LEN(sizes) - 1], 1);
	if (r == 0)
		*(unsigned *)field = (unsigned)value;
	return r;
}

static void print_count(const struct key *k, const void *field, struct buf *out)
{
	(void)buf_printf(out, "%s = %u\n", k->name, *(const unsigned *)field);
}

/* ---- words of a list ---- */

static const char *const sidecars_name[] = {"list", "ghost", "off"};
static const char *const durability_name[] = {"lazy", "close"};
static const char *const camera_drivers[] = {"http", "foscam", "null", "fault"};
static const char *const store_drivers[] = {"dir", "s3", "null", "fault"};
_Static_assert(ARRAY_LEN(sidecars_name) == SIDECARS_DEFAULT, "a name for each enum sidecars");
_Static_assert(ARRAY_LEN(durability_name) == DURABILITY_CLOSE + 1,
	       "a name for each enum durability");

static int choose(struct load *l, unsigned line, const struct key *k, const char *text,
		  const char *const *names, size_t n)
{
	CLEANUP(buf_done) struct buf all = BUF(200);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(text, names[i]) == 0)
			return (int)i;
		(void)buf_printf(&all, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
	}
	return load_error(l, line, "\"%s = %s\" is not known: it may be %s", k->name, text,
			  all.data ? all.data : "");
}

static int read_sidecars(struct load *l, unsigned line, const struct key *k, const char *text,
			 void *field)
{
	int i = choose(l, line, k, text, sidecars_name, ARRAY_LEN(sidecars_name));

	if (i < 0)
		return i;
	*(enum sidecars *)field = (enum sidecars)i;
	return 0;
}

static void print_sidecars(const struct key *k, const void *field, struct buf *out)
{
	enum sidecars value = *(const enum sidecars *)field;

	if (value != SIDECARS_DEFAULT)
		(void)buf_printf(out, "%s = %s\n", k->name, sidecars_name[value]);
}

static int read_durability(struct load *l, unsigned line, const struct key *k, const char *text,
			   void *field)
{
	int i = choose(l, line, k, text, durability_name, ARRAY_LEN(durability_name));

	if (i < 0)
		return i;
	*(enum durability *)field = (enum durability)i;
	return 0;
}

static void print_durability(const struct key *k, const void *field, struct buf *out)
{
	(void)buf_printf(out, "%s = %s\n", k->name,
			 durability_name[*(const enum durability *)field]);
}

/* null and fault, for tests, are not named to people. */
static int read_driver(struct load *l, unsigned line, const struct key *k, const char *text,
		       void *field)
{
	const char *const *names = k->section == SECTION_CAMERA ? camera_drivers : store_drivers;

	for (size_t i = 0; i < ARRAY_LEN(camera_drivers); i++)
		if (strcmp(text, names[i]) == 0)
			return set_text(l, text, field);
	return load_error(l, line, "there is no driver \"%s\" for a %s: %s and %s are there", text,
			  section_name[k->section], names[0], names[1]);
}

static int read_bool(struct load *l, unsigned line, const struct key *k, const char *text,
		     bool *ret)
{
	static const char *const yes[] = {"yes", "on", "true", "1"}, *const no[] = {"no", "off",
										    "false", "0"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*ret = strcasecmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return load_error(l, line, "\"%s = %s\" is not yes or no", k->name, text);
}

/* upload = off sets the field. */
static int read_upload(struct load *l, unsigned line, const struct key *k, const char *text,
		       void *field)
{
	bool on = true;
	int r = read_bool(l, line, k, text, &on);

	if (r == 0)
		*(bool *)field = !on;
	return r;
}

static void print_upload(const struct key *k, const void *field, struct buf *out)
{
	(void)buf_printf(out, "%s = %s\n", k->name, *(const bool *)field ? "off" : "on");
}

static int read_path_style(struct load *l, unsigned line, const struct key *k, const char *text,
			   void *field)
{
	bool *value = field, *given = value + (offsetof(struct store_config, has_path_style) -
					       offsetof(struct store_config, path_style));
	int r = read_bool(l, line, k, text, value);

	if (r == 0)
		*given = true;
	return r;
}

static void print_path_style(const struct key *k, const void *field, struct buf *out)
{
	const bool *value = field, *given = value + (offsetof(struct store_config, has_path_style) -
						     offsetof(struct store_config, path_style));

	if (*given)
		(void)buf_printf(out, "%s = %s\n", k->name, *value ? "yes" : "no");
}

/* ---- what other rooms define ---- */

static int read_zone(struct load *l, unsigned line, const struct key *k, const char *text,
		     void *field)
{
	const char *dir = getenv("TZDIR");
	CLEANUP(freep) char *path = NULL;
	struct stat st;

	if (strcmp(text, "UTC") == 0)
		return set_text(l, text, field);
	if (asprintf(&path, "%s/%s", dir && dir[0] ? dir : "/usr/share/zoneinfo", text) < 0) {
		path = NULL;
		return load_no_memory(l);
	}
	if (!text[0] || text[0] == '/' || strstr(text, "..") || stat(path, &st) < 0 ||
	    !S_ISREG(st.st_mode))
		return load_error(
			l, line,
			"there is no time zone \"%s\": names are like Europe/Prague or UTC", text);
	return set_text(l, text, field);
}

static int read_layout(struct load *l, unsigned line, const struct key *k, const char *text,
		       void *field)
{
	const char *why = "";

	if (layout_check(text, &why) < 0)
		return load_error(l, line, "\"%s = %s\": %s", k->name, text, why);
	return set_text(l, text, field);
}

const struct kind kind_text = {read_text, print_text};
const struct kind kind_title = {read_title, print_text};
const struct kind kind_path = {read_path, print_text};
const struct kind kind_url = {read_url, print_url_key};
const struct kind kind_secret = {read_secret, print_secret};
const struct kind kind_duration = {read_duration, print_duration};
const struct kind kind_size = {read_size, print_size};
const struct kind kind_count = {read_count, print_count};
const struct kind kind_zone = {read_zone, print_text};
const struct kind kind_layout = {read_layout, print_text};
const struct kind kind_sidecars = {read_sidecars, print_sidecars};
const struct kind kind_durability = {read_durability, print_durability};
const struct kind kind_upload = {read_upload, print_upload};
const struct kind kind_path_style = {read_path_style, print_path_style};
const struct kind kind_driver = {read_driver, print_text};
