/* write.c - all texts of a dataset at once, from two readings of its lines: memory holds a page of each, whatever their size. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PAGE_BYTES = 64 * 1024,
	PAGE_LIMIT = 16 * 1024 * 1024 /* one picture can have 10,000 labels */
};

const char *const dataset_file_name[DATASET_FILES] = {
	[DATASET_README] = "README.md",
	[DATASET_MANIFEST] = "manifest.jsonl",
	[DATASET_TASKS] = "tasks.json",
	[DATASET_YAML] = "data.yaml",
	[DATASET_HF + DATASET_TRAIN] = "hf-train.jsonl",
	[DATASET_HF + DATASET_VALIDATION] = "hf-validation.jsonl",
	[DATASET_HF + DATASET_TEST] = "hf-test.jsonl",
	[DATASET_COCO + DATASET_TRAIN] = "coco-train.json",
	[DATASET_COCO + DATASET_VALIDATION] = "coco-validation.json",
	[DATASET_COCO + DATASET_TEST] = "coco-test.json",
	[DATASET_BOXES] = "boxes.txt",
};

struct file {
	const struct format *format;
	struct page page;
	struct buf text;
	uint64_t written;
	int fd;
};

struct book {
	const struct plan *plan;
	const struct writer *w;
	unsigned round;
	struct file file[DATASET_FILES];
};

static void book_done(struct book *b)
{
	for (int i = 0; i < DATASET_FILES; i++) {
		closep(&b->file[i].fd);
		buf_done(&b->file[i].text);
	}
}

static int flush(struct file *f, size_t from)
{
	int r = f->text.error;

	if (r < 0 || f->text.len < from)
		return r;
	r = write_all(f->fd, f->text.data, f->text.len);
	f->written += f->text.len;
	f->text.len = 0;
	return r;
}

static int open_file(struct book *b, const struct format *format, int split, int dirfd)
{
	int number = (int)format->file + split;
	struct file *f = &b->file[number];

	f->format = format;
	f->page.split = (enum dataset_split)split;
	f->page.plan = b->plan;
	f->page.out = &f->text;
	f->fd = openat(dirfd, dataset_file_name[number], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		       0600);
	return f->fd < 0 ? -errno : 0;
}

static int on_line(void *user, const char *line, size_t len)
{
	CLEANUP(member_done) struct member m = {0};
	struct book *b = user;
	struct file *boxes = &b->file[DATASET_BOXES];
	uint64_t at = boxes->written + boxes->text.len;
	int r = member_parse(b->plan, line, len, &m);

	for (int i = 0; r == 0 && i < DATASET_FILES; i++) {
		struct file *f = &b->file[i];

		if (f->format->member && (!f->format->by_split || f->page.split == m.split))
			f->format->member(&f->page, &m);
		r = flush(f, PAGE_BYTES);
	}
	if (r == 0 && b->round == 0 && b->w->row)
		r = b->w->row(b->w->user, &m, at, boxes->written + boxes->text.len - at);
	return r;
}

static int read_twice(struct book *b)
{
	int r = 0;

	for (b->round = 0; r == 0 && b->round < 2; b->round++) {
		for (int i = 0; i < DATASET_FILES; i++) {
			struct file *f = &b->file[i];

			f->page.round = b->round;
			if (b->round == 0 && f->format->begin)
				f->format->begin(&f->page);
			if (b->round == 1 && f->format->between)
				f->format->between(&f->page);
		}
		r = b->w->lines(b->w->user, on_line, b);
	}
	return r;
}

int dataset_write(const struct plan *p, const struct writer *w, int dirfd)
{
	CLEANUP(book_done) struct book b = {.plan = p, .w = w};
	int r = 0;

	for (int i = 0; i < DATASET_FILES; i++)
		b.file[i] = (struct file){.fd = -1, .text = BUF(PAGE_LIMIT)};
	for (size_t i = 0; i < dataset_n_formats; i++)
		for (int s = 0; r == 0 && s < (dataset_formats[i].by_split ? DATASET_SPLITS : 1);
		     s++)
			r = open_file(&b, &dataset_formats[i], s, dirfd);
	if (r == 0)
		r = read_twice(&b);
	for (int i = 0; r == 0 && i < DATASET_FILES; i++) {
		struct file *f = &b.file[i];

		if (f->format->end)
			f->format->end(&f->page);
		r = flush(f, 1);
		if (r == 0 && fsync(f->fd) < 0)
			r = -errno;
	}
	return r;
}

int plan_make(struct plan *p, const struct writer *w)
{
	int r = 0;

	if (!p->spec.kind && !p->spec.field)
		r = w->lines(w->user, plan_kinds, p);
	if (r == 0) {
		plan_settle(p);
		r = w->lines(w->user, plan_count, p);
	}
	if (r == 0)
		plan_end(p);
	return r;
}
