/* jpeg.c - is this a whole JPEG picture, how large is it, when was it taken: from its headers and its end, nothing is decoded.
 *
 * Decoding is where JPEG bombs live (990 bytes can cost gigabytes), so only headers are read: segments are walked here, those
 * that matter are handed to libjpeg-turbo, and a claimed size above 64 Mpx is refused.  All of it runs in a cage (cage.h). */
#include "cage.h"
#include "exif.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <turbojpeg.h>
#include <unistd.h>

enum {
	WINDOW = 64 * 1024, /* what one read brings */
	HEAD_BYTES =
		256 *
		1024, /* tables and frame header without the APPn segments; 4 KiB in a usual picture */
	SEGMENTS = 4096,       /* XMP and depth maps of phones come in a few hundred */
	PADDING = 1024 * 1024, /* cameras pad to the block size of their card */
};

enum {
	M_SOI = 0xd8,
	M_EOI = 0xd9,
	M_SOS = 0xda,
	M_APP0 = 0xe0,
	M_APP1 = 0xe1,
	M_APP2 = 0xe2,
	M_APP15 = 0xef,
	M_COM = 0xfe
};

/* A file or a piece of memory, read through one window. */
struct input {
	int fd; /* -1: memory */
	const uint8_t *mem;
	uint64_t size;
	uint64_t at; /* offset of buf[0] */
	size_t have;
	uint8_t buf[WINDOW];
};

struct probe {
	struct input in;
	char *why;
	uint64_t scan_at; /* where the entropy-coded data begins */
	bool has_trailer; /* it says itself that more follows its end (MPF, motion photo) */
	struct buf head;
	struct jpeg_facts facts;
};

/* Makes [off, off + len) available, len <= WINDOW; NULL: beyond the end or unreadable (*ret_err set then). */
static const uint8_t *input_get(struct input *in, uint64_t off, size_t len, int *ret_err)
{
	size_t want;

	if (off > in->size || len > in->size - off)
		return NULL;
	if (in->fd < 0)
		return in->mem + off;
	if (off >= in->at && off + len <= in->at + in->have)
		return in->buf + (off - in->at);
	want = in->size - off < WINDOW ? (size_t)(in->size - off) : WINDOW;
	in->have = 0;
	*ret_err = pread_all(in->fd, in->buf, want, (off_t)off);
	if (*ret_err < 0)
		return NULL;
	in->at = off;
	in->have = want;
	return in->buf;
}

/* ---- what else it could be ---- */

struct magic {
	const char *bytes;
	size_t len, at;
	const char *what;
};

static const struct magic magics[] = {
	{"\x89PNG", 4, 0, "is PNG, not a JPEG picture"},
	{"GIF8", 4, 0, "is GIF, not a JPEG picture"},
	{"WEBP", 4, 8, "is WebP, not a JPEG picture"},
	{"ftypheic", 8, 4, "is HEIC, not a JPEG picture"},
	{"ftypavif", 8, 4, "is AVIF, not a JPEG picture"},
	{"ftyp", 4, 4, "is a video or HEIF file, not a JPEG picture"},
	{"BM", 2, 0, "is BMP, not a JPEG picture"},
	{"II*\0", 4, 0, "is TIFF or a raw picture, not JPEG"},
	{"MM\0*", 4, 0, "is TIFF or a raw picture, not JPEG"},
	{"\0\0\0\0", 4, 0, "is filled with zeros, not a JPEG picture"},
	{"%PDF", 4, 0, "is PDF, not a JPEG picture"},
	{"\x1f\x8b", 2, 0, "is gzip data, not a JPEG picture"},
};

static bool starts_with(const char *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && strncasecmp(text, word, n) == 0;
}

static const char *text_kind(const char *text, size_t len)
{
	if (starts_with(text, len, "\xef\xbb\xbf")) {
		text += 3;
		len -= 3;
	}
	while (len > 0 && strchr(" \t\r\n", *text)) {
		text++;
		len--;
	}
	if (starts_with(text, len, "<?xml"))
		return "is XML, not a JPEG picture";
	if (starts_with(text, len, "<!doctype html") || starts_with(text, len, "<html") ||
	    starts_with(text, len, "<head") || starts_with(text, len, "<body") ||
	    starts_with(text, len, "<!--"))
		return "is HTML, not a JPEG picture";
	if (starts_with(text, len, "<"))
		return "is XML, not a JPEG picture";
	if (starts_with(text, len, "{") || starts_with(text, len, "["))
		return "is JSON, not a JPEG picture";
	return "does not begin as a JPEG picture";
}

static const char *other_kind(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
		const struct magic *m = &magics[i];

		if (len >= m->at + m->len && memcmp(data + m->at, m->bytes, m->len) == 0)
			return m->what;
	}
	return text_kind((const char *)data, len);
}

/* ---- segments up to the first scan ---- */

static int bad(struct probe *p, int err, const char *what)
{
	if (err < 0)
		return err; /* could not be read: says nothing about the picture */
	why_set(p->why, "%s", what);
	return -EBADMSG;
}

static int truncated(struct probe *p, int err)
{
	return bad(p, err, "ends before its end (truncated)");
}

static bool mentions(const uint8_t *data, size_t len, const char *word)
{
	return memmem(data, len, word, strlen(word)) != NULL;
}

/* APPn and comments are kept from libjpeg-turbo: it does not need them and they are the bulk of the head. */
static int use_segment(struct probe *p, uint8_t marker, const uint8_t *data, size_t len)
{
	static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
	uint8_t lead[4] = {0xff, marker, (uint8_t)((len + 2) >> 8), (uint8_t)(len + 2)};

	if (marker == M_APP1 && len > 6 && memcmp(data, "Exif\0", 5) == 0) {
		bool has_zone = false;

		if (!p->facts.has_taken)
			p->facts.has_taken = exif_taken(data, len, &p->facts.taken, &has_zone);
		p->facts.has_zone |= has_zone;
		return 0;
	}
	if (marker == M_APP2 && len > 4 && memcmp(data, "MPF\0", 4) == 0)
		p->has_trailer = true;
	if (marker == M_APP1 && len > sizeof(xmp) && memcmp(data, xmp, sizeof(xmp)) == 0)
		p->has_trailer |= mentions(data, len, "MotionPhoto") ||
				  mentions(data, len, "MicroVideo");
	if ((marker >= M_APP0 && marker <= M_APP15) || marker == M_COM)
		return 0;
	(void)buf_add(&p->head, lead, sizeof(lead));
	return buf_add(&p->head, data, len);
}

/* Finds the marker at or after *off (fill bytes are allowed between segments); *off is then behind it. */
static int next_marker(struct probe *p, uint64_t *off, uint8_t *ret)
{
	int err = 0;
	const uint8_t *b = input_get(&p->in, *off, 2, &err);

	if (!b)
		return truncated(p, err);
	if (b[0] != 0xff)
		return bad(p, 0, "has damaged headers");
	for (unsigned fill = 0; b[1] == 0xff; fill++) {
		if (fill == WINDOW)
			return bad(p, 0, "has damaged headers");
		b = input_get(&p->in, ++*off, 2, &err);
		if (!b)
			return truncated(p, err);
	}
	*off += 2;
	*ret = b[1];
	return 0;
}

static int walk_segments(struct probe *p)
{
	uint64_t off = 2;

	(void)buf_add(&p->head, "\xff\xd8", 2);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		uint8_t marker = 0;
		const uint8_t *b;
		size_t len;
		int err = 0, r;

		r = next_marker(p, &off, &marker);
		if (r < 0)
			return r;
		if (marker == M_EOI || marker == M_SOI || marker < 0xc0)
			return bad(p, 0, "has headers but no picture");
		b = input_get(&p->in, off, 2, &err);
		if (!b)
			return truncated(p, err);
		len = (size_t)b[0] << 8 | b[1];
		if (len < 2)
			return bad(p, 0, "has damaged headers");
		b = input_get(&p->in, off + 2, len - 2, &err);
		if (!b)
			return truncated(p, err);
		r = use_segment(p, marker, b, len - 2);
		if (r == -EFBIG)
			break;
		if (r < 0)
			return r;
		off += len;
		if (marker == M_SOS) {
			p->scan_at = off;
			return 0;
		}
	}
	return bad(p, 0, "has more headers than any picture needs");
}

static int read_dimensions(struct probe *p)
{
	tjhandle tj = tjInitDecompress();
	int width = 0, height = 0, sub, space;

	if (!tj)
		return -ENOMEM;
	/* It also fails on pictures of unusual subsampling, which are fine: the size tells whether the header was read. */
	(void)tjDecompressHeader3(tj, (const unsigned char *)p->head.data, p->head.len, &width,
				  &height, &sub, &space);
	if (width <= 0 || height <= 0)
		why_set(p->why, "is not a JPEG picture that can be read: %s", tjGetErrorStr2(tj));
	(void)tjDestroy(tj);
	if (width <= 0 || height <= 0)
		return -EBADMSG;
	if ((int64_t)width * height > JPEG_PIXELS) {
		why_set(p->why, "claims %d x %d pixels, more than 64 million", width, height);
		return -EBADMSG;
	}
	p->facts.width = (uint32_t)width;
	p->facts.height = (uint32_t)height;
	return 0;
}

/* ---- the end ---- */

/* 1: the file ends in EOI and padding; 0: it does not. */
static int ends_in_eoi(struct probe *p)
{
	uint64_t end = p->in.size, floor = p->scan_at;
	int err = 0;

	if (end - floor > PADDING)
		floor = end - PADDING;
	while (end - floor >= 2) {
		size_t n = end - floor < WINDOW ? (size_t)(end - floor) : WINDOW, i;
		const uint8_t *b = input_get(&p->in, end - n, n, &err);

		if (!b)
			return err < 0 ? err : 0;
		for (i = n; i > 0 && (b[i - 1] == 0x00 || b[i - 1] == 0xff); i--)
			;
		if (i > 1)
			return b[i - 1] == M_EOI && b[i - 2] == 0xff;
		end -= n - 1; /* one byte again: EOI may lie across two windows */
	}
	return 0;
}

/* Entropy-coded data stuffs its 0xff bytes, so the first EOI behind the scan's start is the picture's. 0: there is none. */
static int find_eoi(struct probe *p, uint64_t *ret_end)
{
	int err = 0;

	for (uint64_t off = p->scan_at; off + 2 <= p->in.size;) {
		size_t n = p->in.size - off < WINDOW ? (size_t)(p->in.size - off) : WINDOW;
		const uint8_t *b = input_get(&p->in, off, n, &err), *at;

		if (!b)
			return err;
		at = memmem(b, n, "\xff\xd9", 2);
		if (at) {
			*ret_end = off + (uint64_t)(at - b) + 2;
			return 1;
		}
		off += n - 1;
	}
	return 0;
}

/* Samsung's phones write a directory behind the picture that ends in this word. */
static bool ends_in_samsung_trailer(struct probe *p)
{
	int err = 0;
	const uint8_t *b = p->in.size >= 4 ? input_get(&p->in, p->in.size - 4, 4, &err) : NULL;

	return b && memcmp(b, "SEFT", 4) == 0;
}

static int check_end(struct probe *p)
{
	uint64_t end = 0;
	int r = ends_in_eoi(p);

	if (r)
		return r < 0 ? r : 0;
	r = find_eoi(p, &end);
	if (r <= 0)
		return truncated(p, r);
	if (p->has_trailer || ends_in_samsung_trailer(p))
		return 0;
	why_set(p->why, "has %llu bytes of something else after its end",
		(unsigned long long)(p->in.size - end));
	return -EBADMSG;
}

static int probe_run(struct probe *p)
{
	int err = 0, r;
	size_t n = p->in.size < 64 ? (size_t)p->in.size : 64;
	const uint8_t *b = input_get(&p->in, 0, n, &err);

	if (!b)
		return bad(p, err, "cannot be read");
	if (n == 0)
		return bad(p, 0, "is empty");
	if (n == 1 && b[0] == 0xff)
		return truncated(p, 0);
	if (n < 2 || b[0] != 0xff || b[1] != M_SOI)
		return bad(p, 0, other_kind(b, n));
	r = walk_segments(p);
	if (r < 0)
		return r;
	r = read_dimensions(p);
	if (r < 0)
		return r;
	return check_end(p);
}

static void probe_freep(struct probe **p)
{
	if (*p)
		buf_done(&(*p)->head);
	free(*p);
}

int jpeg_inspect(int fd, const void *data, uint64_t size, struct jpeg_facts *ret, char why[WHY_MAX])
{
	CLEANUP(probe_freep) struct probe *p = calloc(1, sizeof(*p));
	int r;

	why[0] = '\0';
	if (!p)
		return -ENOMEM;
	p->in.fd = fd;
	p->in.mem = data;
	p->in.size = size;
	p->why = why;
	p->head = BUF(HEAD_BYTES);
	r = size > PICTURE_BYTES ? -EFBIG : probe_run(p);
	if (r == -EFBIG)
		why_set(why, "is larger than %u MiB", PICTURE_BYTES / 1024 / 1024);
	if (r < 0)
		return r;
	*ret = p->facts;
	return 0;
}
