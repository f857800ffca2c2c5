/* test-config.h - what the tests of the config share: a directory of their own with a config file in it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAMERA "[camera \"a\"]\nurl = http://h/x\n"
#define STORE "[store \"s\"]\ndriver = dir\npath = p\n"

static char dir[64], conf[128];

static void write_text(const char *name, const char *text, mode_t mode)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(write_file_atomic(AT_FDCWD, path, text, strlen(text), mode), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int setup(void **state)
{
	static const char *const gone[] = {"XDG_STATE_HOME",        "XDG_CACHE_HOME",
					   "XDG_DATA_HOME",         "XDG_CONFIG_HOME",
					   "CREDENTIALS_DIRECTORY", "AWS_ACCESS_KEY_ID",
					   "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
					   "AWS_PROFILE",           "AWS_SHARED_CREDENTIALS_FILE"};

	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		unsetenv(gone[i]);
	(void)snprintf(dir, sizeof(dir), "/tmp/test-config-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(conf, sizeof(conf), "%s/shutterfs.conf", dir);
	assert_int_equal(setenv("HOME", dir, 1), 0);
	return 0;
}

static int teardown(void **state)
{
	return remove_tree(AT_FDCWD, dir);
}

__attribute__((unused)) static struct config *load_ok(const char *text)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	struct config *c = NULL;
	int r;

	write_text("shutterfs.conf", text, 0644);
	r = config_load(conf, &err, &c);
	if (r < 0)
		fail_msg("%s", err.data);
	assert_null(err.data);
	return c;
}

/* `want` is "LINE: text" or, for the whole file, "text". */
__attribute__((unused)) static void assert_error(const char *text, int error, unsigned line,
						 const char *want)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	struct config *c = NULL;
	char place[160];

	write_text("shutterfs.conf", text, 0644);
	assert_int_equal(config_load(conf, &err, &c), error);
	assert_null(c);
	(void)snprintf(place, sizeof(place), "%s:%u: ", conf, line);
	if (!err.data || !strstr(err.data, place) || !strstr(err.data, want))
		fail_msg("expected %s%s\ngot %s", place, want, err.data);
	if (strchr(err.data, '\n') != err.data + err.len - 1)
		fail_msg("more than one error:\n%s", err.data);
}

__attribute__((unused)) static void assert_path(const char *got, const char *below)
{
	char want[256];

	(void)snprintf(want, sizeof(want), "%s/%s", dir, below);
	assert_string_equal(got, want);
}
