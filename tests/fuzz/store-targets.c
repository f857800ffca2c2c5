/* store-targets.c - keys of a directory that others write to, and what an S3 server says went wrong. */
#include "target.h"

#include "dir.h"
#include "s3.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Below an empty directory: no key leads out of it. */
static int run_dir_key(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *key = text_of(data, len);
	static int root = -1;
	char path[] = "/tmp/corpus-XXXXXX";
	struct dir d = {.name = "archive", .prefix = "", .path = "/nowhere"};
	const char *name = NULL;
	int fd = -1, r;

	if (root < 0) { /* it is gone, but for us */
		HOLDS(mkdtemp(path));
		root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		HOLDS(root >= 0 && rmdir(path) == 0);
	}
	d.root = root;
	r = dir_parent(&d, key, false, &fd, &name);
	if (r < 0)
		return r;
	HOLDS(!strchr(name, '/'));
	HOLDS(strcmp(name, "..") != 0 && strcmp(name, ".") != 0 && *name);
	(void)snprintf(why, TARGET_WHY, "%s", name);
	closep(&fd);
	return r;
}

/* The status, a new line, the body. */
static int run_explain(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	static char bucket[] = "pictures", name[] = "cloud", region[] = "eu-west-1";
	static struct http_answer a;
	CLEANUP(freep) char *text = text_of(data, len);
	const struct store_config conf = {.name = name, .bucket = bucket, .region = region};
	struct s3 s = {.conf = &conf, .prefix = "", .region = region};
	struct call c = {0};
	char *body = strchr(text, '\n');
	int r;

	if (!body)
		return -EINVAL;
	a = (struct http_answer){.status = strtol(text, NULL, 10)};
	(void)snprintf(a.error_body, sizeof(a.error_body), "%s", body + 1);
	s.origin = BUF(64);
	HOLDS(buf_str(&s.origin, "https://s3.example") == 0);
	r = s3_explain(&s, &c, "fetch", "front/x.jpg", -EIO, &a);
	buf_done(&s.origin);
	holds_line(c.why);
	HOLDS(r < 0 && c.why[0]);
	(void)snprintf(why, TARGET_WHY, "%s", c.why);
	return r;
}

const struct parser store_targets[] = {{"dir-key", run_dir_key}, {"s3-explain", run_explain}, {0}};
