/* io.c - what a verb says, on this terminal or as lines of the control socket's protocol.
 *
 * Protocol, from the mount: "out TEXT", "err TEXT", "progress DONE TOTAL BYTES FAILED WHAT", and last "exit N".  "ready": now the
 * items of a verb that is fed may come, each ended by NUL, and an empty one at the end.  Names from
 * cameras and clouds end up here, so whatever could drive a terminal is escaped before it leaves. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LINE_BYTES = 64 * 1024,
	ITEM_BYTES = 8 * 1024 * 1024,
	BAR_EVERY_US = 100000,
	REMOTE_EVERY_US = 250000
};

/* Control bytes and the C1 controls (in UTF-8: C2 80..9F) as \xNN. */
static int escape(const char *text, size_t len, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;

	for (; p < end; p++) {
		if (p + 1 < end && p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			(void)buf_printf(out, "\\x%02x", *++p);
		else if (*p < 0x20 || *p == 0x7f)
			(void)buf_printf(out, "\\x%02x", *p);
		else
			(void)buf_add(out, p, 1);
	}
	return out->error;
}

static void send_line(struct io *io, const struct buf *line)
{
	for (size_t sent = 0; sent < line->len && !io->broken;) {
		ssize_t n = send(io->fd, line->data + sent, line->len - sent, MSG_NOSIGNAL);

		/* a client may stop listening for a while (Ctrl-Z), but not hold up the mount's end */
		if (n < 0 && (errno == EINTR || errno == EAGAIN) && !io_cancelled(io))
			continue;
		if (n <= 0)
			io->broken = true; /* the client is gone: its verb is being cancelled */
		else
			sent += (size_t)n;
	}
}

/* Nobody to tell when the terminal or a pipe's reader is gone, but a long answer may end. */
static void break_off(struct io *io, int why)
{
	bool was = io->broken;

	io->broken = true;
	if (!was && why != EPIPE && !io_cancelled(io))
		io_err(io, "cannot write to standard output: %s", strerror(why));
}

/* A reader that does not read is waited for until the verb is cancelled. */
static void print(struct io *io, int fd, const struct buf *line)
{
	size_t at = 0;

	while (at < line->len) {
		ssize_t n = write(fd, line->data + at, line->len - at);

		if (n < 0 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
		if (at < line->len && io_cancelled(io)) /* a signal cut it short */
			break;
	}
	if (at < line->len && fd == STDOUT_FILENO)
		break_off(io, errno);
}

static void emit(struct io *io, bool is_err, const char *text, size_t len)
{
	CLEANUP(buf_done) struct buf line = BUF(8 * 1024 * 1024);

	if (io->fd >= 0)
		(void)buf_str(&line, is_err ? "err " : "out ");
	else if (is_err)
		(void)buf_str(&line, "shutterfs: ");
	(void)escape(text, len, &line);
	if (buf_str(&line, "\n") < 0)
		return;
	if (io->fd >= 0) {
		send_line(io, &line);
		return;
	}
	if (!is_err && io->to) {
		line.data[line.len - 1] = '\0';
		io->to(io->to_user, line.data);
		return;
	}
	io_bar_clear(io);
	print(io, is_err ? STDERR_FILENO : STDOUT_FILENO, &line);
}

static void emit_lines(struct io *io, bool is_err, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		emit(io, is_err, text, len);
		text += len;
		text += *text == '\n';
	}
}

/* DEL and the C1 controls can only stand within strings, where \u says the same. */
void io_json(struct io *io, const char *line)
{
	CLEANUP(buf_done) struct buf out = BUF(8 * 1024 * 1024);
	const unsigned char *p = (const unsigned char *)line;

	for (; *p; p++) {
		if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			(void)buf_printf(&out, "\\u%04x", *++p);
		else if (*p == 0x7f)
			(void)buf_str(&out, "\\u007f");
		else
			(void)buf_add(&out, p, 1);
	}
	if (!out.error && out.len)
		emit_lines(io, false, out.data);
}

void io_text(struct io *io, const char *text)
{
	emit_lines(io, false, text);
}

static void PRINTF(3, 0) emit_formatted(struct io *io, bool is_err, const char *fmt, va_list ap)
{
	CLEANUP(freep) char *text = malloc(LINE_BYTES);

	if (!text)
		return;
	(void)vsnprintf(text, LINE_BYTES, fmt, ap);
	emit_lines(io, is_err, text);
}

void io_out(struct io *io, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit_formatted(io, false, fmt, ap);
	va_end(ap);
}

void io_err(struct io *io, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit_formatted(io, true, fmt, ap);
	va_end(ap);
}

bool io_cancelled(const struct io *io)
{
	return io->cancel && *io->cancel;
}

struct call io_call(const struct io *io, int64_t limit_us)
{
	return (struct call){.deadline_us = limit_us ? mono_us() + limit_us : 0,
			     .cancel = io->cancel};
}

/* ---- progress ---- */
void size_text(uint64_t bytes, char out[SIZE_TEXT])
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double n = (double)bytes;
	size_t i = 0;

	while (n >= 1024 && i + 1 < ARRAY_LEN(unit)) {
		n /= 1024;
		i++;
	}
	(void)snprintf(out, SIZE_TEXT, i && n < 100 ? "%.1f %s" : "%.0f %s", n, unit[i]);
}

void io_bar_clear(struct io *io)
{
	if (io->bar_shown)
		(void)!write_all(STDERR_FILENO, "\r\033[K", 4);
	io->bar_shown = false;
}

static void bar_meter(const struct progress *p, char *out, size_t size)
{
	static const char full[] = "####################";
	int n = p->total ? (int)(20 * (p->done < p->total ? p->done : p->total) / p->total) : 0;

	if (p->total)
		(void)snprintf(out, size, "[%.*s%*s] %" PRIu64 "/%" PRIu64, n, full, 20 - n, "",
			       p->done, p->total);
	else
		(void)snprintf(out, size, "%" PRIu64, p->done);
}

static void bar_draw(struct io *io, const struct progress *p, int64_t now)
{
	CLEANUP(buf_done) struct buf line = BUF(4096);
	double seconds = (double)(now - io->began_us) / 1e6;
	char meter[96], size[SIZE_TEXT];

	bar_meter(p, meter, sizeof(meter));
	(void)buf_printf(&line, "\r\033[K%s %s", io->verb, meter);
	if (p->bytes) {
		size_text(p->bytes, size);
		(void)buf_printf(&line, ", %s", size);
	}
	if (seconds > 1 && p->done) {
		double rate = (double)p->done / seconds;

		(void)buf_printf(&line, ", %.0f/s", rate);
		if (p->total > p->done)
			(void)buf_printf(&line, ", %.0f s left",
					 (double)(p->total - p->done) / rate);
	}
	if (p->failed)
		(void)buf_printf(&line, ", %" PRIu64 " failed", p->failed);
	(void)buf_str(&line, " ");
	if (escape(p->what, strnlen(p->what, 40), &line) == 0)
		(void)!write_all(STDERR_FILENO, line.data, line.len);
	io->bar_shown = true;
}

void io_progress(struct io *io, const struct progress *p)
{
	int64_t now = mono_us();

	if (!io->began_us)
		io->began_us = now;
	if (now - io->bar_us < (io->fd >= 0 ? REMOTE_EVERY_US : BAR_EVERY_US))
		return;
	io->bar_us = now;
	if (io->fd < 0) {
		if (isatty(STDERR_FILENO))
			bar_draw(io, p, now);
		return;
	}
	CLEANUP(buf_done) struct buf line = BUF(4096);

	(void)buf_printf(&line, "progress %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ",
			 p->done, p->total, p->bytes, p->failed);
	(void)escape(p->what, strlen(p->what), &line);
	if (buf_str(&line, "\n") == 0)
		send_line(io, &line);
}

int io_sync_progress(void *user, uint64_t done, uint64_t total, const char *what)
{
	struct progress p = {.done = done, .total = total};

	(void)snprintf(p.what, sizeof(p.what), "%s", what ? what : "");
	io_progress(user, &p);
	return io_cancelled(user) ? -ECANCELED : 0;
}

/* ---- what a client feeds its verb with ---- */

/* Whole items at the beginning of b go to fn and out of it; 1: the empty one came. */
static int take_items(struct buf *b, item_fn *fn, void *user)
{
	char *item = b->data, *end;
	int r = 0;

	while (r == 0 && (end = memchr(item, '\0', b->len - (size_t)(item - b->data)))) {
		if (end == item)
			return 1;
		r = fn(user, item, (size_t)(end - item));
		item = end + 1;
	}
	b->len -= (size_t)(item - b->data);
	memmove(b->data, item, b->len);
	return r;
}

int io_items(struct io *io, item_fn *fn, void *user)
{
	CLEANUP(buf_done) struct buf b = BUF(ITEM_BYTES), ready = BUF(16);
	CLEANUP(freep) char *chunk = malloc(LINE_BYTES);
	int r = chunk ? buf_str(&ready, "ready\n") : -ENOMEM;

	if (r == 0)
		send_line(io, &ready);
	while (r == 0) {
		ssize_t n = recv(io->fd, chunk, LINE_BYTES, 0);

		/* reading big files takes a client its time */
		if (n < 0 && (errno == EINTR || errno == EAGAIN) && !io_cancelled(io))
			continue;
		if (n <= 0)
			return -ECANCELED;
		r = buf_add(&b, chunk, (size_t)n);
		if (r == 0)
			r = take_items(&b, fn, user);
	}
	return r == 1 ? 0 : r;
}

/* ---- the client's side ---- */
static void relay_progress(struct io *io, char *text)
{
	uint64_t n[4];
	struct progress p = {0};
	char *end;

	for (size_t i = 0; i < ARRAY_LEN(n); i++) {
		n[i] = strtoull(text, &end, 10);
		if (end == text)
			return;
		text = end;
	}
	p.done = n[0];
	p.total = n[1];
	p.bytes = n[2];
	p.failed = n[3];
	(void)snprintf(p.what, sizeof(p.what), "%s", text + (*text == ' '));
	io_progress(io, &p);
}

bool io_relay(struct io *io, char *line, int *ret_status)
{
	if (strncmp(line, "out ", 4) == 0)
		emit(io, false, line + 4, strlen(line + 4));
	else if (strncmp(line, "err ", 4) == 0)
		emit(io, true, line + 4, strlen(line + 4));
	else if (strncmp(line, "progress ", 9) == 0)
		relay_progress(io, line + 9);
	else if (strcmp(line, "ready") == 0)
		io->ready = true;
	if (strncmp(line, "exit ", 5) != 0)
		return false;
	io_bar_clear(io);
	*ret_status = line[5] >= '0' && line[5] <= '9' && !io->broken ? line[5] - '0' : EXIT_FAILED;
	return true;
}
