/* test-base-log.c - a log line is one line, whatever a camera put into its names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shutterfs/base.h"

#define LOG_ROOM "test"

static int memory = -1, saved = -1;
static char text[8192];

/* stderr into memory; with `journal` it looks like systemd's. */
static void begin(bool journal, int level)
{
	struct stat st;
	char stream[64];

	memory = memfd_create("log", MFD_CLOEXEC);
	saved = dup(STDERR_FILENO);
	assert_true(memory >= 0 && saved >= 0);
	assert_true(dup2(memory, STDERR_FILENO) >= 0);
	assert_int_equal(fstat(memory, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino + !journal);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_setup(level, false);
}

static const char *end(void)
{
	ssize_t n = pread(memory, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	(void)close(memory);
	return text;
}

static void journal_lines_have_a_level_and_no_time(void **state)
{
	begin(true, LOG_L_DEBUG);
	log_err("cannot read \"%s\"", "a.jpg");
	log_debug("x");
	assert_string_equal(end(),
			    "<3>shutterfs: test: cannot read \"a.jpg\"\n<7>shutterfs: test: x\n");
}

static void other_lines_have_a_time(void **state)
{
	int y, n = 0;
	const char *line;

	begin(false, LOG_L_INFO);
	log_warn("disk is full");
	log_debug("not wanted");
	line = end();
	assert_int_equal(sscanf(line, "%4d-%*2d-%*2d %*2d:%*2d:%*2d.%*3d W %n", &y, &n), 1);
	assert_true(y >= 2020 && n > 0);
	assert_string_equal(line + n, "shutterfs: test: disk is full\n");
}

static void control_bytes_are_escaped(void **state)
{
	begin(true, LOG_L_INFO);
	log_info("%s", "a\nb\r\x1b[31m\x7f\xc2\x9b|\xc3\xa9\xff\t");
	assert_string_equal(
		end(), "<6>shutterfs: test: a\\x0ab\\x0d\\x1b[31m\\x7f\\x9b|\xc3\xa9\xff\\x09\n");
}

static void long_lines_end(void **state)
{
	char lots[5000];
	const char *line;

	memset(lots, 'x', sizeof(lots) - 1);
	lots[sizeof(lots) - 1] = '\0';
	begin(true, LOG_L_INFO);
	log_info("%s", lots);
	memset(lots, '\n', sizeof(lots) - 1);
	log_info("%s", lots);
	line = end();
	assert_in_range(strcspn(line, "\n"), 2000, 2047);
	assert_memory_equal(strchr(line, '\n') - 3, "...", 3);
	line = strchr(line, '\n') + 1;
	assert_in_range(strlen(line), 2000, 2048);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void strange_journal_streams_are_not_one(void **state)
{
	static const char *const bad[] = {"", "1", "1:", "x:y", "1:2:3", ":", "-1:-1"};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		begin(true, LOG_L_INFO);
		assert_int_equal(setenv("JOURNAL_STREAM", bad[i], 1), 0);
		log_setup(LOG_L_INFO, false);
		log_info("x");
		assert_int_not_equal(end()[0], '<');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(journal_lines_have_a_level_and_no_time),
		cmocka_unit_test(other_lines_have_a_time),
		cmocka_unit_test(control_bytes_are_escaped),
		cmocka_unit_test(long_lines_end),
		cmocka_unit_test(strange_journal_streams_are_not_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
