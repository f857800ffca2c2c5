/* target.c - the table of targets, and what several of them need. */
#include "target.h"

#include <string.h>

static const struct parser *const tables[] = {model_targets, config_targets,  net_targets,
					      codec_targets, foreign_targets, store_targets,
					      query_targets, fs_targets,      cli_targets};

const struct parser *target_at(size_t i)
{
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		const struct parser *at = tables[t];

		for (; at->name && i > 0; at++)
			i--;
		if (at->name)
			return at;
	}
	return NULL;
}

void targets_setup(void)
{
	static const char *const unset[] = {
		"HOME",           "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_PROFILE",    "XDG_STATE_HOME",    "XDG_CACHE_HOME",        "XDG_DATA_HOME",
		"XDG_CONFIG_HOME"};

	for (size_t i = 0; i < ARRAY_LEN(unset); i++)
		HOLDS(unsetenv(unset[i]) == 0);
	HOLDS(setenv("HOME", "/nonexistent", 1) == 0);
	HOLDS(zone_set("Europe/Prague") == 0);
	log_setup(-1, false);
}

char *text_of(const uint8_t *data, size_t len)
{
	char *text = strndup(len ? (const char *)data : "", len);

	HOLDS(text);
	return text;
}

void holds_line(const char *text)
{
	for (; *text; text++)
		HOLDS((unsigned char)*text >= ' ' && *text != 0x7f);
}
