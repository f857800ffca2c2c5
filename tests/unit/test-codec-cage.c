/* test-codec-cage.c - what a cage cannot do; cages and their keeper die alone, and nobody is told anything wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- pictures ---- */
/* A grey picture whose scan is empty. */
static size_t make_picture(uint8_t *out, unsigned w, unsigned h)
{
	const uint8_t frame[] = {
		0xff,       0xc0, 0, 11,   8, (uint8_t)(h >> 8), (uint8_t)h, (uint8_t)(w >> 8),
		(uint8_t)w, 1,    1, 0x11, 0};
	static const uint8_t sos[] = {0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0};
	uint8_t dqt[71] = {0xff, 0xd8, 0xff, 0xdb, 0, 67, 0};
	size_t n = sizeof(dqt);

	memset(dqt + 7, 1, 64);
	memcpy(out, dqt, sizeof(dqt));
	memcpy(out + n, frame, sizeof(frame));
	n += sizeof(frame);
	memcpy(out + n, sos, sizeof(sos));
	n += sizeof(sos);
	memcpy(out + n, "\xff\xd9", 2);
	return n + 2;
}

static int picture_file(unsigned w)
{
	uint8_t data[128];
	size_t n = make_picture(data, w, 10);
	int fd = memfd_create("picture", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, data, n), 0);
	return fd;
}

static void assert_width(int fd, unsigned w)
{
	struct jpeg_info info = {0};
	char why[WHY_MAX];

	assert_int_equal(jpeg_probe_fd(fd, &info, why), 0);
	assert_int_equal(info.width, w);
}

/* ---- processes ---- */
/* Children of `parent`; at most `max` of them into `ret`. */
static size_t children(pid_t parent, pid_t *ret, size_t max)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	size_t n = 0;

	assert_non_null(proc);
	while ((e = readdir(proc))) {
		CLEANUP(buf_done) struct buf text = BUF(4096);
		char path[300], *end;
		int ppid = 0;

		(void)snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		if (read_file(AT_FDCWD, path, text.max, &text) < 0)
			continue;
		end = strrchr(text.data, ')');
		if (end && sscanf(end + 1, " %*c %d", &ppid) == 1 && ppid == parent && n < max)
			ret[n++] = (pid_t)strtol(e->d_name, NULL, 10);
	}
	closedir(proc);
	return n;
}

static pid_t keeper(void)
{
	pid_t pid = 0;

	assert_int_equal(children(getpid(), &pid, 1), 1);
	return pid;
}

/* ---- what a cage cannot do ---- */
struct attempt {
	const char *what;
	bool (*succeeds)(int fd);
};

static bool opens(int fd)
{
	CLEANUP(closep) int opened = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	return opened >= 0;
}

static bool writes(int fd)
{
	return pwrite(fd, "x", 1, 0) >= 0 || write(fd, "x", 1) >= 0 || ftruncate(fd, 0) == 0;
}

static bool maps_a_file(int fd)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED;
}

static bool makes_code(int fd)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0 ||
	       mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		       MAP_FAILED;
}

static bool connects(int fd)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool starts_something(int fd)
{
	char name[] = "true", *argv[] = {name, NULL};

	if (fork() >= 0)
		return true;
	(void)execv("/bin/true", argv);
	return errno != EACCES;
}

static bool reaches_others(int fd)
{
	return kill(getppid(), 0) == 0 || ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0;
}

static bool frees_itself(int fd)
{
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

	return setrlimit(RLIMIT_AS, &none) == 0;
}

static const struct attempt attempts[] = {
	{"open a file", opens},
	{"write to what it was handed", writes},
	{"map a file", maps_a_file},
	{"make code", makes_code},
	{"connect", connects},
	{"start a process", starts_something},
	{"reach its parent", reaches_others},
	{"lift a limit", frees_itself},
};

/* Runs fn in a locked child; its exit status, or 128 + the signal. */
static int locked(bool (*fn)(int fd), int fd)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (dup2(fd, 1) < 0 || !cage_lock())
			_exit(2);
		_exit(fn(1));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void a_cage_can_do_nothing(void **state)
{
	CLEANUP(closep) int fd = picture_file(10);

	if (strcmp(codec_cage(), "caged") != 0) {
		print_message("no seccomp filters on this machine\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		assert_true(attempts[i].succeeds != opens ||
			    opens(fd)); /* else it proves nothing */
		int r = locked(attempts[i].succeeds, fd);

		if (r != 0)
			fail_msg("a cage can %s (%d)", attempts[i].what, r);
	}
	assert_width(fd, 10); /* nothing was written */
}

/* As the kernel knows them: name, limit. */
static void the_limits_are_set(void **state)
{
	static const char *const lines[] = {
		"Max cpu time              10                   10 ",
		"Max file size             0                    0 ",
		"Max core file size        0                    0 ",
		"Max processes             0                    0 ",
		"Max open files            2                    2 ",
	};
	CLEANUP(buf_done) struct buf text = BUF(8192);
	CLEANUP(closep) int fd = picture_file(10);
	char path[64];
	pid_t cage = 0;

	assert_width(fd, 10);
	assert_int_equal(children(keeper(), &cage, 1), 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/limits", cage);
	assert_int_equal(read_file(AT_FDCWD, path, text.max, &text), 0);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		if (!strstr(text.data, lines[i]))
			fail_msg("not \"%s\" in:\n%s", lines[i], text.data);
}

/* ---- nothing of ours is in there ---- */
static void the_keeper_knows_nothing(void **state)
{
	CLEANUP(buf_done) struct buf environ_text = BUF(65536);
	CLEANUP(closep) int fd = picture_file(10);
	char path[64];
	struct dirent *e;
	DIR *fds;

	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "canary", 1), 0);
	assert_width(fd, 10);
	(void)snprintf(path, sizeof(path), "/proc/%d/environ", keeper());
	assert_int_equal(read_file(AT_FDCWD, path, environ_text.max, &environ_text), 0);
	assert_int_equal(environ_text.len, 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", keeper());
	fds = opendir(path);
	assert_non_null(fds);
	while ((e = readdir(fds)))
		assert_true(e->d_name[0] == '.' || strcmp(e->d_name, "0") == 0);
	closedir(fds);
	assert_int_equal(unsetenv("AWS_SECRET_ACCESS_KEY"), 0);
}

/* ---- dying alone ---- */
static void killed_cages_are_replaced(void **state)
{
	CLEANUP(closep) int fd = picture_file(77);

	for (int round = 0; round < 20; round++) {
		pid_t pid[8];
		size_t n;

		assert_width(fd, 77);
		n = children(keeper(), pid, ARRAY_LEN(pid));
		assert_true(n >= 1);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(kill(pid[i], SIGKILL), 0);
	}
	assert_width(fd, 77);
}

static void a_killed_keeper_is_replaced(void **state)
{
	CLEANUP(closep) int fd = picture_file(78);

	for (int round = 0; round < 5; round++) {
		pid_t old = keeper();

		assert_int_equal(kill(old, SIGKILL), 0);
		/* its last cage may live a moment longer */
		for (int64_t until = mono_us() + 10000000; keeper() == old;) {
			assert_true(mono_us() < until);
			assert_width(fd, 78);
		}
	}
}

struct asker {
	int fd;
	unsigned w;
	unsigned good;
	bool wrong;
};

static void *keep_asking(void *arg)
{
	struct asker *a = arg;

	for (int i = 0; i < 300; i++) {
		struct jpeg_info info = {0};
		char why[WHY_MAX];
		int r = jpeg_probe_fd(a->fd, &info, why);

		a->good += r == 0;
		a->wrong |= r == 0 && info.width != a->w;
	}
	return NULL;
}

/* More askers than cages, while cages are killed: an answer is never another picture's. */
static void many_ask_while_cages_die(void **state)
{
	struct asker asker[8];
	pthread_t thread[8];
	unsigned kills = 0;

	for (unsigned i = 0; i < ARRAY_LEN(asker); i++) {
		asker[i] = (struct asker){.fd = picture_file(100 + i), .w = 100 + i};
		assert_int_equal(pthread_create(&thread[i], NULL, keep_asking, &asker[i]), 0);
	}
	for (int round = 0; round < 10; round++) {
		pid_t pid[8];

		if (children(keeper(), pid, ARRAY_LEN(pid)) > 0)
			kills += kill(pid[0], SIGKILL) == 0;
		(void)usleep(1000);
	}
	for (unsigned i = 0; i < ARRAY_LEN(asker); i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		(void)close(asker[i].fd);
		assert_false(asker[i].wrong);
		/* only one over which three cages were killed has none */
		assert_true(asker[i].good >= 290);
	}
	assert_true(kills > 0);
}

/* What its parent and a forked process ask at the same time stays apart. */
static void a_forked_process_has_its_own(void **state)
{
	struct asker ours = {.fd = picture_file(201), .w = 201},
		     theirs = {.fd = picture_file(202), .w = 202};
	int status;
	pid_t pid;

	assert_width(ours.fd, 201);
	pid = fork();
	if (pid == 0) {
		(void)keep_asking(&theirs);
		codec_end();
		_exit(theirs.wrong || theirs.good != 300);
	}
	(void)keep_asking(&ours);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(ours.wrong);
	assert_int_equal(ours.good, 300);
	(void)close(ours.fd);
	(void)close(theirs.fd);
}

static void the_end_leaves_nobody(void **state)
{
	CLEANUP(closep) int fd = picture_file(10);
	pid_t pid[8];

	assert_int_equal(codec_start(), 0);
	assert_int_equal(children(getpid(), pid, ARRAY_LEN(pid)), 1);
	codec_end();
	assert_int_equal(children(getpid(), pid, ARRAY_LEN(pid)), 0);
	codec_end();
	assert_width(fd, 10); /* and begins again */
	codec_end();
}

static int setup(void **state)
{
	return codec_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cage_can_do_nothing),
		cmocka_unit_test(the_limits_are_set),
		cmocka_unit_test(the_keeper_knows_nothing),
		cmocka_unit_test(killed_cages_are_replaced),
		cmocka_unit_test(a_killed_keeper_is_replaced),
		cmocka_unit_test(many_ask_while_cages_die),
		cmocka_unit_test(a_forked_process_has_its_own),
		cmocka_unit_test(the_end_leaves_nobody),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
