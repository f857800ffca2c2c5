/* paths.c - where people's directories are: home, the XDG base directories, and paths relative to the config file. */
#include "private.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Called at start, by one thread: getpwuid's static result is copied by every caller at once. */
const char *home_dir(void)
{
	const char *home = getenv("HOME");
	const struct passwd *pw;

	if (home && home[0] == '/')
		return home;
	pw = getpwuid(geteuid()); /* mount(8) at boot has no HOME */
	return pw && pw->pw_dir && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
}

static const struct xdg {
	const char *word, *name, *below_home;
} xdgs[] = {
	{"$XDG_STATE_HOME/", "XDG_STATE_HOME", ".local/state"},
	{"$XDG_CACHE_HOME/", "XDG_CACHE_HOME", ".cache"},
	{"$XDG_DATA_HOME/", "XDG_DATA_HOME", ".local/share"},
	{"$XDG_CONFIG_HOME/", "XDG_CONFIG_HOME", ".config"},
};

static int join(const char *a, const char *b, const char *c, char **ret)
{
	char *path = NULL;

	if (asprintf(&path, "%s%s%s/%s", a, b[0] ? "/" : "", b, c) < 0)
		return -ENOMEM;
	*ret = path;
	return 0;
}

int path_expand(const char *dir, const char *text, char **ret)
{
	const char *home = home_dir();

	if (text[0] == '/') {
		*ret = strdup(text);
		return *ret ? 0 : -ENOMEM;
	}
	if (strncmp(text, "~/", 2) == 0)
		return home ? join(home, "", text + 2, ret) : -ENOENT;
	for (size_t i = 0; i < ARRAY_LEN(xdgs); i++) {
		const struct xdg *x = &xdgs[i];
		const char *base = getenv(x->name), *rest = text + strlen(x->word);

		if (strncmp(text, x->word, strlen(x->word)) != 0)
			continue;
		if (base && base[0] == '/') /* XDG: relative ones are to be ignored */
			return join(base, "", rest, ret);
		return home ? join(home, x->below_home, rest, ret) : -ENOENT;
	}
	return join(dir, "", text, ret);
}
