/* output.c - `-o FILE`: what a verb prints goes into a file, whole or not at all; what export prints for YOLO, into the files of a
 * directory.  In the user's process, which alone opens what the user names. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shutterfs/codec.h"

struct output {
	char *name; /* of the file, or directory */
	char *temporary;
	FILE *file; /* NULL: a directory of files */
	int dir;
	int error; /* the first */
};

static void add_line(void *user, const char *line)
{
	struct output *o = user;

	if (!o->error && (fputs(line, o->file) < 0 || fputc('\n', o->file) < 0))
		o->error = -EIO;
}

/* ---- {"file":"labels/x.txt","lines":["0 0.5 0.5 0.2 0.4"]} ---- */

struct unpacking {
	struct buf name, text;
};

static int add_row(void *user, const char *key, const char *raw, size_t len)
{
	struct unpacking *u = user;

	if (json_decode(raw, len, &u->text) < 0)
		return -EBADMSG;
	return buf_str(&u->text, "\n");
}

static int on_member(void *user, const char *key, const char *raw, size_t len)
{
	struct unpacking *u = user;
	char why[WHY_MAX];

	if (strcmp(key, "file") == 0)
		return json_decode(raw, len, &u->name);
	return strcmp(key, "lines") == 0 ? json_scan_array(raw, len, add_row, u, why) : 0;
}

/* "x" or "labels/x", and nothing that leads elsewhere. */
static bool name_ok(const char *name)
{
	if (strncmp(name, "labels/", 7) == 0)
		name += 7;
	return file_name_ok(name);
}

static void unpack(void *user, const char *line)
{
	struct output *o = user;
	CLEANUP(buf_done) struct buf name = BUF(NAME_LIMIT + 8), text = BUF(16 << 20);
	struct unpacking u = {name, text};
	char why[WHY_MAX];
	int r = o->error ? o->error : json_scan(line, strlen(line), on_member, &u, why);

	if (r == 0 && (!u.name.len || !name_ok(u.name.data)))
		r = -EBADMSG;
	if (r == 0)
		r = write_file_atomic(o->dir, u.name.data, u.text.data ? u.text.data : "",
				      u.text.len, 0666);
	buf_done(&u.name);
	buf_done(&u.text);
	if (r < 0 && !o->error)
		o->error = r;
}

/* ---- opening and closing ---- */

static struct output *output_free(struct output *o)
{
	if (o->file)
		(void)fclose(o->file);
	closep(&o->dir);
	free(o->name);
	free(o->temporary);
	free(o);
	return NULL;
}

static int open_directory(struct output *o)
{
	int r = make_dirs(o->name, 0777);

	if (r < 0)
		return r;
	o->dir = open(o->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->dir < 0 || (mkdirat(o->dir, "labels", 0777) < 0 && errno != EEXIST))
		return -errno;
	return 0;
}

static int open_file(struct output *o)
{
	mode_t mask = umask(0);
	int fd;

	(void)umask(mask);
	if (asprintf(&o->temporary, "%s.XXXXXX", o->name) < 0) {
		o->temporary = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(o->temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	o->file = fdopen(fd, "w");
	if (!o->file || fchmod(fd, 0666 & ~mask) < 0)
		return -errno;
	return 0;
}

int output_open(const struct args *args, struct io *io, struct output **ret)
{
	bool yolo = args->format && strcmp(args->format, "yolo") == 0;
	struct output *o = calloc(1, sizeof(*o));
	int r = o ? 0 : -ENOMEM;

	if (r == 0) {
		o->dir = -1;
		o->name = strdup(args->output);
		r = !o->name ? -ENOMEM : yolo ? open_directory(o) : open_file(o);
	}
	if (r < 0) {
		io_err(io, "%s: %s: %s", io->verb, args->output, strerror(-r));
		if (o)
			(void)output_free(o);
		return r;
	}
	io->to = yolo ? unpack : add_line;
	io->to_user = o;
	*ret = o;
	return 0;
}

int output_close(struct output *o, struct io *io, int status)
{
	int r;

	if (!o)
		return status;
	io->to = NULL;
	r = o->error;
	if (r == 0 && o->file && (fflush(o->file) != 0 || fsync(fileno(o->file)) < 0))
		r = -errno;
	if (r == 0 && status == EXIT_DONE && o->file && rename(o->temporary, o->name) < 0)
		r = -errno;
	if (o->file && (r < 0 || status != EXIT_DONE))
		(void)unlink(o->temporary);
	if (r < 0)
		io_err(io, "%s: %s: %s", io->verb, o->name, strerror(-r));
	(void)output_free(o);
	return r < 0 ? EXIT_FAILED : status;
}
