/* secret.c - passwords and keys from files, systemd credentials, the environment and ~/.aws/credentials.
 *
 * A secret in a file that others can read is no secret: such files are refused.  What is read is wiped behind us. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_BYTES = 16 * 1024, AWS_BYTES = 256 * 1024 };

void buf_wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_done(b);
}

/* Not buf_add: it would leave copies behind as it grows. */
int read_fd(int fd, struct buf *ret)
{
	ssize_t n;

	ret->data = malloc(ret->max + 1);
	if (!ret->data)
		return -ENOMEM;
	ret->cap = ret->max + 1;
	while ((n = read(fd, ret->data + ret->len, ret->cap - ret->len)) > 0)
		ret->len += (size_t)n;
	if (n < 0)
		return -errno;
	if (ret->len > ret->max)
		return -EFBIG;
	ret->data[ret->len] = '\0';
	return 0;
}

bool file_is_private(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_uid == geteuid() || st.st_uid == 0) && (st.st_mode & 077) == 0;
}

/* Says in a sentence why a file is not private. */
static void refuse(struct load *l, unsigned line, const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		load_refused(l, line, "%s is not a regular file", path);
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		load_refused(l, line,
			     "%s belongs to somebody else: chown it to the user who mounts", path);
	else
		load_refused(l, line, "%s can be read by others: chmod 600 %s", path, path);
}

/* Who may write in a folder can put another file in the place of one there, unless it is sticky like /tmp. */
static bool folder_is_safe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && ((st.st_mode & 022) == 0 || (st.st_mode & S_ISVTX));
}

/* Opens a file that must be private, in a folder that must be safe.  `path` is absolute.  -1: reported. */
static int open_private(struct load *l, unsigned line, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	CLEANUP(freep) char *folder = strndup(path, (size_t)(name - path));
	CLEANUP(closep) int dir = -1, fd = -1;

	if (!folder) {
		load_no_memory(l);
		return -1;
	}
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		load_refused(l, line, "cannot read %s: %s", path,
			     errno == ELOOP ? "it is a symbolic link" : strerror(errno));
	else if (!file_is_private(fd))
		refuse(l, line, path, fd);
	else if (!folder_is_safe(dir))
		load_refused(l, line, "%s stands in a folder where others may write: chmod go-w %s",
			     path, folder);
	else
		return TAKE_FD(fd);
	return -1;
}

/* Reads a whole file, which must be private unless systemd keeps it.  False: reported. */
static bool read_private(struct load *l, unsigned line, const char *path, bool systemd,
			 struct buf *ret)
{
	CLEANUP(closep) int fd = -1;
	int r;

	if (!systemd) {
		fd = open_private(l, line, path);
		if (fd < 0)
			return false;
	} else {
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	r = fd < 0 ? -errno : read_fd(fd, ret);
	if (r < 0) {
		load_refused(l, line, "cannot read %s: %s", path, strerror(-r));
		return false;
	}
	return true;
}

/* The file that a key names: a systemd credential of that name, or a path. */
static int secret_path(struct load *l, const char *text, char **ret, bool *ret_systemd)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");

	*ret_systemd = false;
	if (credentials && credentials[0] == '/' && !strchr(text, '/')) {
		char *path = NULL;

		if (asprintf(&path, "%s/%s", credentials, text) < 0)
			return -ENOMEM;
		if (access(path, F_OK) == 0) {
			*ret = path;
			*ret_systemd = true;
			return 0;
		}
		free(path);
	}
	return path_expand(l->dir, text, ret);
}

void secret_from_file(struct load *l, unsigned line, const char *key, const char *text,
		      struct secret *ret)
{
	CLEANUP(buf_wipe) struct buf b = BUF(SECRET_BYTES);
	CLEANUP(freep) char *path = NULL;
	bool systemd = false;
	size_t len;

	if (secret_path(l, text, &path, &systemd) < 0) {
		load_lacks(l, line, "\"%s = %s\" is not a path that can be used", key, text);
		return;
	}
	if (!read_private(l, line, path, systemd, &b))
		return;
	len = b.len;
	while (len > 0 && (b.data[len - 1] == '\n' || b.data[len - 1] == '\r'))
		len--;
	b.data[len] = '\0';
	if (len == 0 || strlen(b.data) != len || strchr(b.data, '\n'))
		load_lacks(l, line, "\"%s\": %s must hold one line of text", key, path);
	else if (secret_set(ret, b.data) < 0)
		load_no_memory(l);
}

/* Their addresses may have passwords in them. */
void secret_hide_proxies(void)
{
	static const char *const proxy[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
					    "ALL_PROXY"};

	for (size_t i = 0; i < ARRAY_LEN(proxy); i++)
		secret_hide_env(proxy[i]);
}

void secret_from_env(struct load *l, unsigned line, const char *key, const char *name,
		     struct secret *ret)
{
	const char *text = getenv(name);

	if (!text || !text[0])
		load_lacks(l, line, "\"%s\": the environment has no variable %s", key, name);
	else if (secret_set(ret, text) < 0)
		load_no_memory(l);
	secret_hide_env(name);
}

/* ---- ~/.aws/credentials ---- */

/* "name = value" of one line, cut in place; false: it is not such a line. */
static bool split(char *text, char **ret_name, char **ret_value)
{
	char *equals = strchr(text, '='), *end;

	if (!equals || text[0] == '#' || text[0] == ';')
		return false;
	for (end = equals; end > text && (end[-1] == ' ' || end[-1] == '\t'); end--)
		;
	*end = '\0';
	*ret_name = text;
	*ret_value = equals + 1 + strspn(equals + 1, " \t");
	return true;
}

static int take_aws_line(char *text, struct store_config *s)
{
	char *name, *value;

	if (!split(text, &name, &value))
		return 0;
	if (strcmp(name, "aws_access_key_id") == 0)
		return secret_set(&s->access_key, value);
	if (strcmp(name, "aws_secret_access_key") == 0)
		return secret_set(&s->secret_key, value);
	if (strcmp(name, "aws_session_token") == 0)
		return secret_set(&s->session_token, value);
	return 0;
}

/* Not read with inih: a session token is longer than its lines.  False: the profile is not in it. */
static bool read_profile(struct load *l, char *text, const char *profile, struct store_config *s)
{
	bool inside = false, found = false;
	char *save = NULL;

	for (char *p = strtok_r(text, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) {
		size_t len;

		p += strspn(p, " \t");
		len = strlen(p);
		while (len > 0 && strchr(" \t\r", p[len - 1]))
			p[--len] = '\0';
		if (p[0] == '[') {
			inside = len == strlen(profile) + 2 && p[len - 1] == ']' &&
				 strncmp(p + 1, profile, len - 2) == 0;
			found |= inside;
		} else if (inside && take_aws_line(p, s) < 0) {
			load_no_memory(l);
		}
	}
	return found;
}

/* `asked`: the config names the profile, so its absence is an error. */
static void keys_from_profile(struct load *l, struct draft *d, const char *profile, unsigned line,
			      bool asked)
{
	CLEANUP(buf_wipe) struct buf b = BUF(AWS_BYTES);
	CLEANUP(freep) char *path = NULL;
	const char *file = getenv("AWS_SHARED_CREDENTIALS_FILE");

	if (path_expand(l->dir, file && file[0] ? file : "~/.aws/credentials", &path) < 0)
		return;
	if (!asked && access(path, F_OK) < 0)
		return;
	if (!read_private(l, line, path, false, &b))
		return;
	if (!read_profile(l, b.data, profile, &d->store) && asked)
		load_lacks(l, line, "%s has no profile [%s]", path, profile);
}

static bool keys_from_env(struct load *l, struct store_config *s)
{
	const char *access = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
	const char *token = getenv("AWS_SESSION_TOKEN");

	if (!access || !access[0] || !secret || !secret[0])
		return false;
	if (secret_set(&s->access_key, access) < 0 || secret_set(&s->secret_key, secret) < 0 ||
	    secret_set(&s->session_token, token && token[0] ? token : NULL) < 0)
		load_no_memory(l);
	secret_hide_env("AWS_ACCESS_KEY_ID");
	secret_hide_env("AWS_SECRET_ACCESS_KEY");
	secret_hide_env("AWS_SESSION_TOKEN");
	return true;
}

static void keys_from_files(struct load *l, struct draft *d)
{
	if (!d->access_key_file || !d->secret_key_file) {
		load_lacks(l, d->line,
			   "store \"%s\" needs both access_key_file and secret_key_file", d->name);
		return;
	}
	secret_from_file(l, key_line(d, "access_key_file"), "access_key_file", d->access_key_file,
			 &d->store.access_key);
	secret_from_file(l, key_line(d, "secret_key_file"), "secret_key_file", d->secret_key_file,
			 &d->store.secret_key);
	if (d->session_token_file)
		secret_from_file(l, key_line(d, "session_token_file"), "session_token_file",
				 d->session_token_file, &d->store.session_token);
}

/* What the config names wins over what happens to be in the environment. */
void secret_s3_keys(struct load *l, struct draft *d)
{
	const char *profile = getenv("AWS_PROFILE");
	unsigned before = l->errors;

	if (d->access_key_file || d->secret_key_file || d->session_token_file)
		keys_from_files(l, d);
	else if (d->store.profile)
		keys_from_profile(l, d, d->store.profile, key_line(d, "profile"), true);
	else if (!keys_from_env(l, &d->store))
		keys_from_profile(l, d, profile && profile[0] ? profile : "default", d->line,
				  false);
	if (l->errors == before && (!d->store.access_key.text || !d->store.secret_key.text))
		load_lacks(
			l, d->line,
			"store \"%s\" has no keys: set access_key_file and secret_key_file, AWS_ACCESS_KEY_ID and "
			"AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws/credentials",
			d->name);
}
