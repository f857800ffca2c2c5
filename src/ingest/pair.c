/* Sidecars and their pictures, whichever comes first: x.jpg.json, else x.json, beside x.jpg. */
#include "ingest_private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const picture_suffix[] = {".jpg", ".JPG", ".jpeg", ".JPEG", ".jpe"};

static int parse_fd(int fd, struct sidecar *ret, char why[WHY_MAX])
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = read_file(AT_FDCWD, path, SIDECAR_BYTES, &text);
	if (r == -EFBIG)
		(void)snprintf(why, WHY_MAX, "is larger than %d KiB: not a sidecar",
			       SIDECAR_BYTES >> 10);
	if (r == 0)
		r = sidecar_parse(text.data ? text.data : "", text.len, ret, why);
	return r;
}

static int parse_entry(struct ingest *in, int64_t id, struct sidecar *ret, char why[WHY_MAX])
{
	char name[24];

	upload_file_name(id, name);
	CLEANUP(closep) int fd = openat(in->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : parse_fd(fd, ret, why);
}

/* "x.jpg" -> "x": where its sidecar's name begins. */
static size_t stem_length(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? (size_t)(dot - name) : strlen(name);
}

int sidecar_beside(struct ingest *in, const struct upload_row *picture, struct sidecar *ret,
		   int64_t *ret_entry)
{
	static const char *const suffix[] = {".json", ".JSON"};
	int whole = (int)strlen(picture->name), stem = (int)stem_length(picture->name);
	char name[NAME_LIMIT + 8], why[WHY_MAX];
	struct upload_row row;

	for (size_t i = 0; i < 2 * ARRAY_LEN(suffix); i++) {
		(void)snprintf(name, sizeof(name), "%.*s%s", i < ARRAY_LEN(suffix) ? whole : stem,
			       picture->name, suffix[i % ARRAY_LEN(suffix)]);
		if (strlen(name) > NAME_LIMIT ||
		    catalog_upload_find(in->cat, picture->parent, name, &row) < 0 || row.is_dir ||
		    row.state == UPLOAD_OPEN)
			continue;
		if (parse_entry(in, row.id, ret, why) == 0) {
			*ret_entry = row.id;
			return 0;
		}
	}
	return -ENOENT;
}

static bool has_picture_suffix(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(picture_suffix); i++) {
		size_t s = strlen(picture_suffix[i]);

		if (len > s && strncasecmp(name + len - s, picture_suffix[i], s) == 0)
			return true;
	}
	return false;
}

/* The registered picture that this sidecar lies beside. */
static int picture_beside(struct ingest *in, const struct upload_row *side, struct upload_row *ret)
{
	size_t stem = stem_length(side->name);
	char name[NAME_LIMIT + 8];
	bool whole = has_picture_suffix(side->name, stem); /* x.jpg.json */

	for (size_t i = 0; i < (whole ? 1 : ARRAY_LEN(picture_suffix)); i++) {
		(void)snprintf(name, sizeof(name), "%.*s%s", (int)stem, side->name,
			       whole ? "" : picture_suffix[i]);
		if (catalog_upload_find(in->cat, side->parent, name, ret) == 0 &&
		    ret->state == UPLOAD_REGISTERED)
			return 0;
	}
	return -ENOENT;
}

/* -ENOENT: its picture is not registered (yet). */
static int take_in(struct ingest *in, const struct upload_row *row, const struct sidecar *s)
{
	struct upload_row picture;
	int r = picture_beside(in, row, &picture);

	if (r < 0)
		return r;
	in->active = true;
	r = catalog_merge_sidecar(in->cat, picture.snapshot, s);
	if (r == 0)
		set_state(in, row, UPLOAD_KEPT, picture.snapshot, NULL);
	return r;
}

static int hold(struct ingest *in, const struct upload_row *row, const struct sidecar *s,
		bool final)
{
	int r;

	if (final && row->state == UPLOAD_HELD) {
		set_state(in, row, UPLOAD_REJECTED, 0, "its picture did not come within a day");
		return 0;
	}
	look_later(in, row, UPLOAD_HELD, HELD_US);
	/* A picture that was registered just before did not see it held. */
	r = take_in(in, row, s);
	return r == -ENOENT ? 0 : r;
}

void consider_sidecar(struct ingest *in, struct entry *e, const struct upload_row *row, bool final)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	char why[WHY_MAX] = "";
	int r = parse_fd(e->fd, &s, why);
	bool broken = r == -EBADMSG || r == -EFBIG;

	if (r == 0)
		r = take_in(in, row, &s);
	if (r == -ENOENT)
		r = hold(in, row, &s, final);
	if (r == -EEXIST)
		set_state(in, row, UPLOAD_REJECTED, 0,
			  "has a document twice (\"documents\": one created_by, direction and "
			  "speed): remove one of the two");
	else if (r == -EINVAL || r == -E2BIG)
		set_state(in, row, UPLOAD_REJECTED, 0,
			  "has more labels, or longer ones, than can be kept");
	else if (broken && final)
		set_state(in, row, UPLOAD_REJECTED, 0, why);
	else if (broken)
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
	else if (r < 0)
		try_later(in, row, r);
}
