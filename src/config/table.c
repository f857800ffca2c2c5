/* table.c - every key of the config file: section, name, how it is read, where it goes, default, help.
 *
 * The man page is tested against this table. */
#include "private.h"

#include <string.h>

#define AT(field) offsetof(struct draft, field)
#define SECONDS(n) ((n)*1000000LL)
#define DAYS(n) SECONDS((n)*86400LL)

const char *const section_name[SECTIONS] = {"shutterfs", "camera", "store", "elastic"};

/* One row, one line. */
/* clang-format off */
const struct key config_keys[] = {
	{SECTION_MAIN, "state", &kind_path, AT(config.state), 0, 0, "$XDG_STATE_HOME/shutterfs", "catalog and spool: nothing in it may be lost"},
	{SECTION_MAIN, "cache", &kind_path, AT(config.cache), 0, 0, "$XDG_CACHE_HOME/shutterfs", "fetched pictures: may be deleted at any time"},
	{SECTION_MAIN, "cache_size", &kind_size, AT(config.cache_size), 64 * 1024, INT64_MAX, "20G", "most bytes of the cache"},
	{SECTION_MAIN, "timezone", &kind_zone, AT(config.timezone), 0, 0, NULL, "zone of days and names; default: the machine's"},
	{SECTION_MAIN, "fetch_threads", &kind_count, AT(config.fetch_threads), 1, 1024, "32", "pictures fetched at a time"},
	{SECTION_MAIN, "fetch_deadline", &kind_duration, AT(config.fetch_deadline_us), SECONDS(1), DAYS(1), "60s", "longest wait of a reader for a picture"},
	{SECTION_MAIN, "sidecars", &kind_sidecars, AT(config.sidecars), 0, 0, NULL, "list, ghost or off; default: listed in cameras/, ghosts elsewhere"},
	{SECTION_MAIN, "durability", &kind_durability, AT(config.durability), 0, 0, "lazy", "lazy: on disk within a second; close: before close returns"},
	{SECTION_MAIN, "trash", &kind_duration, AT(config.trash_us), 0, DAYS(3650), "7d", "what is in the trash is deleted from the stores after that"},
	{SECTION_MAIN, "upload", &kind_upload, AT(config.read_only_upload), 0, 0, "on", "off: no upload/ directory"},

	{SECTION_CAMERA, "driver", &kind_driver, AT(camera.driver), 0, 0, "http", "http or foscam"},
	{SECTION_CAMERA, "url", &kind_url, AT(camera.url), 0, 0, NULL, "address of the picture (http) or of the camera (foscam)"},
	{SECTION_CAMERA, "user", &kind_text, AT(camera.user), 0, 0, NULL, "name to log in with"},
	{SECTION_CAMERA, "password", &kind_secret, AT(camera.password), 0, 0, NULL, "only in a config file of mode 0600"},
	{SECTION_CAMERA, "password_file", &kind_text, AT(password_file), 0, 0, NULL, "file of mode 0600, or systemd credential, with the password"},
	{SECTION_CAMERA, "password_env", &kind_text, AT(password_env), 0, 0, NULL, "environment variable with the password"},
	{SECTION_CAMERA, "interval", &kind_duration, AT(camera.interval_us), 0, DAYS(3650), NULL, "capture on a schedule; default: on demand only"},
	{SECTION_CAMERA, "min_interval", &kind_duration, AT(camera.min_interval_us), 0, DAYS(1), "1s", "a younger snapshot is served instead of a new capture"},
	{SECTION_CAMERA, "timeout", &kind_duration, AT(camera.timeout_us), SECONDS(1), SECONDS(3600), "10s", "longest time of one request"},
	{SECTION_CAMERA, "group", &kind_title, AT(camera.group), 0, 0, NULL, "free text that sidecars carry: a house, a site"},
	{SECTION_CAMERA, "title", &kind_title, AT(camera.title), 0, 0, NULL, "name for people; default: the section's"},

	{SECTION_STORE, "driver", &kind_driver, AT(store.driver), 0, 0, NULL, "dir or s3"},
	{SECTION_STORE, "path", &kind_path, AT(store.path), 0, 0, NULL, "dir: the directory"},
	{SECTION_STORE, "endpoint", &kind_url, AT(store.endpoint), 0, 0, NULL, "s3: the server; default: AWS's of the region"},
	{SECTION_STORE, "region", &kind_text, AT(store.region), 0, 0, NULL, "s3: default us-east-1"},
	{SECTION_STORE, "bucket", &kind_text, AT(store.bucket), 0, 0, NULL, "s3: the bucket"},
	{SECTION_STORE, "prefix", &kind_text, AT(store.prefix), 0, 0, NULL, "what every key begins with"},
	{SECTION_STORE, "layout", &kind_layout, AT(store.layout), 0, 0, "{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg", "where a snapshot is kept below prefix"},
	{SECTION_STORE, "scan", &kind_duration, AT(store.scan_us), 0, DAYS(3650), NULL, "look for objects of other writers; default: only when asked"},
	{SECTION_STORE, "profile", &kind_text, AT(store.profile), 0, 0, NULL, "s3: profile of ~/.aws/credentials"},
	{SECTION_STORE, "access_key_file", &kind_text, AT(access_key_file), 0, 0, NULL, "s3: file of mode 0600, or systemd credential, with the access key"},
	{SECTION_STORE, "secret_key_file", &kind_text, AT(secret_key_file), 0, 0, NULL, "s3: the same with the secret key"},
	{SECTION_STORE, "session_token_file", &kind_text, AT(session_token_file), 0, 0, NULL, "s3: the same with the token of temporary keys"},
	{SECTION_STORE, "path_style", &kind_path_style, AT(store.path_style), 0, 0, NULL, "s3: yes: bucket in the path; no: in the host name; default: by the endpoint"},
	{SECTION_STORE, "threads", &kind_count, AT(store.threads), 1, 256, "32", "requests at a time"},

	{SECTION_ELASTIC, "url", &kind_url, AT(elastic.url), 0, 0, NULL, "the Elasticsearch server"},
	{SECTION_ELASTIC, "index", &kind_text, AT(elastic.index), 0, 0, NULL, "the index with the label documents"},
	{SECTION_ELASTIC, "user", &kind_text, AT(elastic.user), 0, 0, NULL, "name to log in with"},
	{SECTION_ELASTIC, "password", &kind_secret, AT(elastic.password), 0, 0, NULL, "only in a config file of mode 0600"},
	{SECTION_ELASTIC, "password_file", &kind_text, AT(password_file), 0, 0, NULL, "file of mode 0600, or systemd credential, with the password"},
	{SECTION_ELASTIC, "password_env", &kind_text, AT(password_env), 0, 0, NULL, "environment variable with the password"},
	{SECTION_ELASTIC, "api_key_file", &kind_text, AT(api_key_file), 0, 0, NULL, "file of mode 0600, or systemd credential, with an encoded API key instead"},
};
/* clang-format on */
const size_t config_n_keys = ARRAY_LEN(config_keys);

const struct key *key_find(enum section section, const char *name)
{
	for (size_t i = 0; i < config_n_keys; i++)
		if (config_keys[i].section == section && strcmp(config_keys[i].name, name) == 0)
			return &config_keys[i];
	return NULL;
}

unsigned key_index(const struct key *k)
{
	unsigned n = 0;

	while (k - n > config_keys && k[-(int)n - 1].section == k->section)
		n++;
	return n;
}

unsigned key_line(const struct draft *d, const char *name)
{
	const struct key *k = key_find(d->section, name);

	return k ? d->key_line[key_index(k)] : 0;
}

/* Letters to insert, delete or replace to make one of the other; capped by their short lengths. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[32];
	size_t n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (; *a; a++) {
		unsigned diagonal = row[0]++;

		for (size_t j = 1; j <= n; j++) {
			unsigned best = diagonal + (*a != b[j - 1]);

			diagonal = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[n];
}

const char *key_like(enum section section, const char *name)
{
	const char *found = NULL;
	unsigned least = 3;

	for (size_t i = 0; i < config_n_keys; i++) {
		const struct key *k = &config_keys[i];
		unsigned d;

		if (k->section != section || strlen(k->name) >= 32)
			continue;
		d = distance(name, k->name);
		if (d < least) {
			least = d;
			found = k->name;
		}
	}
	return found;
}

void config_print_keys(struct buf *out)
{
	for (size_t i = 0; i < config_n_keys; i++) {
		const struct key *k = &config_keys[i];

		(void)buf_printf(out, "[%s] %s = %s: %s\n", section_name[k->section], k->name,
				 k->initial ? k->initial : "", k->help);
	}
}
