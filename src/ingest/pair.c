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
	char name[2][NAME_LIMIT + 8], why[WHY_MAX] = "";
	struct upload_row row;

	(void)snprintf(name[0], sizeof(name[0]), "%s.json", picture->name);
	(void)snprintf(name[1], sizeof(name[1]), "%.*s.json", (int)stem_length(picture->name),
		       picture->name);
	for (int i = 0; i < 2; i++) {
		int r = strlen(name[i]) > NAME_LIMIT
				? -ENOENT
				: catalog_upload_find(in->cat, picture->parent, name[i], &row);

		if (r < 0 || row.is_dir || row.state == UPLOAD_OPEN)
			continue;
		r = parse_entry(in, row.id, ret, why);
		if (r == 0) {
			*ret_entry = row.id;
			return 0;
		}
		if (r == -EBADMSG || r == -EFBIG)
			set_state(in, &row, UPLOAD_REJECTED, 0, why);
	}
	return -ENOENT;
}

void sidecar_taken(struct ingest *in, int64_t entry, int64_t snapshot)
{
	struct upload_row row;

	if (catalog_upload(in->cat, entry, &row) == 0)
		set_state(in, &row, UPLOAD_KEPT, snapshot, NULL);
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

void consider_sidecar(struct ingest *in, struct entry *e, const struct upload_row *row, bool final)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct upload_row picture;
	char why[WHY_MAX] = "";
	int r = parse_fd(e->fd, &s, why);

	if (r == -EBADMSG || r == -EFBIG) {
		if (final)
			set_state(in, row, UPLOAD_REJECTED, 0, why);
		else
			look_later(in, row, UPLOAD_WAITING, QUIET_US);
		return;
	}
	if (r == 0 && picture_beside(in, row, &picture) == 0) {
		r = catalog_merge_sidecar(in->cat, picture.snapshot, &s, in->target, in->n_targets);
		if (r == 0)
			set_state(in, row, UPLOAD_KEPT, picture.snapshot, NULL);
	} else if (r == 0) {
		if (final && row->state == UPLOAD_HELD)
			set_state(in, row, UPLOAD_REJECTED, 0,
				  "its picture did not come within a day");
		else
			look_later(in, row, UPLOAD_HELD, HELD_US);
	}
	if (r < 0) {
		log_err("cannot take in sidecar \"%s\": %s; it is kept and tried again", row->name,
			strerror(-r));
		look_later(in, row, UPLOAD_WAITING, EMPTY_QUIET_US);
	}
}
