/* test-cli-io.c - what goes over the control socket: nothing in it drives a terminal or breaks the protocol, and a client that
 * is gone stops nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli.h"

struct pair {
	int ours, theirs;
	struct io io;
	char text[65536];
};

static void pair_open(struct pair *p)
{
	int fd[2];

	memset(p, 0, sizeof(*p));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	p->ours = fd[0];
	p->theirs = fd[1];
	p->io = (struct io){.fd = p->ours, .verb = "test"};
}

/* Everything that was said so far. */
static const char *heard(struct pair *p)
{
	ssize_t n = recv(p->theirs, p->text, sizeof(p->text) - 1, MSG_DONTWAIT);

	p->text[n > 0 ? n : 0] = '\0';
	return p->text;
}

static void pair_close(struct pair *p)
{
	closep(&p->ours);
	closep(&p->theirs);
}

static void lines_stay_lines(void **state)
{
	struct pair p;

	pair_open(&p);
	io_out(&p.io, "one\ntwo\n");
	io_err(&p.io, "bad: %s", "x\rexit 0");
	io_out(&p.io, "exit %d", 0);
	assert_string_equal(heard(&p), "out one\nout two\nerr bad: x\\x0dexit 0\nout exit 0\n");
	pair_close(&p);
}

static void names_do_not_drive_terminals(void **state)
{
	struct pair p;

	pair_open(&p);
	io_out(&p.io, "%s",
	       "a\033[2Jb\x7f\xc2\x9b"
	       "c\t\xc3\xa9");
	assert_string_equal(heard(&p), "out a\\x1b[2Jb\\x7f\\x9bc\\x09\xc3\xa9\n");
	pair_close(&p);
}

static void a_client_that_is_gone(void **state)
{
	struct pair p;

	pair_open(&p);
	closep(&p.theirs);
	p.theirs = -1;
	io_out(&p.io, "anybody?"); /* no signal, no error */
	assert_true(p.io.broken);
	io_out(&p.io, "still nobody");
	pair_close(&p);
}

static void progress_is_not_a_flood(void **state)
{
	struct pair p;
	struct progress at = {.total = 100000, .what = "x\ny"};
	size_t lines = 0;

	pair_open(&p);
	for (at.done = 0; at.done < 10000; at.done++)
		io_progress(&p.io, &at);
	for (const char *s = heard(&p); (s = strchr(s, '\n')); s++)
		lines++;
	assert_in_range(lines, 1, 20);
	assert_non_null(strstr(p.text, "progress 0 100000 0 0 x\\x0ay\n"));
	pair_close(&p);
}

static void cancelled_progress_says_so(void **state)
{
	_Atomic bool cancel = false;
	struct pair p;

	pair_open(&p);
	p.io.cancel = &cancel;
	assert_int_equal(io_sync_progress(&p.io, 1, 2, NULL), 0);
	cancel = true;
	assert_int_equal(io_sync_progress(&p.io, 1, 2, "x"), -ECANCELED);
	pair_close(&p);
}

static int relayed(const char *text, bool *last)
{
	struct io io = {.fd = -1, .verb = "test"};
	char line[256];
	int status = -1;

	(void)snprintf(line, sizeof(line), "%s", text);
	*last = io_relay(&io, line, &status);
	return status;
}

static void the_last_line(void **state)
{
	bool last;

	assert_int_equal(relayed("exit 0", &last), EXIT_DONE);
	assert_true(last);
	assert_int_equal(relayed("exit 2", &last), EXIT_USAGE);
	assert_int_equal(relayed("exit x", &last), EXIT_FAILED);
	assert_true(last);
}

static void what_nobody_understands(void **state)
{
	static const char *const line[] = {
		"", "exit", "progress", "progress 1 2", "progress a b c d e", "nonsense 1"};
	bool last;

	for (size_t i = 0; i < ARRAY_LEN(line); i++) {
		assert_int_equal(relayed(line[i], &last), -1);
		assert_false(last);
	}
}

static void sizes_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} size[] = {{0, "0 B"},
		    {1023, "1023 B"},
		    {1024, "1.0 KiB"},
		    {1536 * 1024, "1.5 MiB"},
		    {UINT64_C(20) << 30, "20.0 GiB"},
		    {UINT64_C(500) << 30, "500 GiB"},
		    {UINT64_MAX, "16.0 EiB"}};
	char text[SIZE_TEXT];

	for (size_t i = 0; i < ARRAY_LEN(size); i++) {
		size_text(size[i].bytes, text);
		assert_string_equal(text, size[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_stay_lines),
		cmocka_unit_test(names_do_not_drive_terminals),
		cmocka_unit_test(a_client_that_is_gone),
		cmocka_unit_test(progress_is_not_a_flood),
		cmocka_unit_test(cancelled_progress_says_so),
		cmocka_unit_test(the_last_line),
		cmocka_unit_test(what_nobody_understands),
		cmocka_unit_test(sizes_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
