/* test-cli-control.c - one house a state directory, and verbs that are asked of it through its socket, also by clients that do
 * not keep to the rules. */
#include "test-cli-app.h"

#include <errno.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct control *control_of(struct house *h)
{
	struct control *c;

	ok(control_start(h->app, &c));
	return c;
}

/* ---- the lock ---- */
static void one_house_a_state(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf err = BUF(4096);
	char pid[32];
	struct app *second;

	assert_int_equal(app_open(h->conf, "/mnt/x", &err, &second), -EBUSY);
	(void)snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
	assert_non_null(strstr(err.data, pid));
	assert_non_null(strstr(err.data, h->conf->state));
	assert_non_null(strstr(err.data, "mounted already"));
}

static void the_lock_says_whose(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf err = BUF(4096);
	CLEANUP(lock_owner_done) struct lock_owner owner = {0};
	struct stat st;

	ok(state_lock_owner(h->conf->state, &owner));
	assert_int_equal(owner.pid, getpid());
	assert_null(owner.mountpoint);
	h->app = app_close(h->app);
	ok(app_open(h->conf, "/mnt/with blank", &err, &h->app));
	ok(state_lock_owner(h->conf->state, &owner));
	assert_string_equal(owner.mountpoint, "/mnt/with blank");
	ok(stat(h->conf->state, &st));
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void a_lock_file_of_garbage(void **state)
{
	struct house *h = *state;
	CLEANUP(lock_owner_done) struct lock_owner owner = {0};
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/lock", h->conf->state);
	ok(truncate(path, 0));
	ok(state_lock_owner(h->conf->state, &owner));
	assert_int_equal(owner.pid, 0);
	assert_null(owner.mountpoint);
	ok(write_file_atomic(AT_FDCWD, path, "x", 1, 0600));
	ok(state_lock_owner(h->conf->state, &owner));
	assert_int_equal(owner.pid, 0);
}

/* Who took it is gone; what he left behind ends a moment later. */
static void a_lock_that_is_being_given_up(void **state)
{
	struct house *h = *state;
	struct lock_owner owner = {0};
	int fd, status;
	pid_t taker;

	h->app = app_close(h->app);
	taker = fork();
	if (taker == 0) {
		if (state_lock(h->conf->state, NULL, &fd, &owner) < 0)
			_exit(1);
		if (fork() == 0)
			(void)usleep(400000);
		_exit(0);
	}
	assert_int_equal(waitpid(taker, &status, 0), taker);
	assert_int_equal(status, 0);
	assert_int_equal(state_lock(h->conf->state, NULL, &fd, &owner), 0);
	ok(close(fd));
}

static void a_lock_that_the_dead_keep(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf err = BUF(4096);
	struct app *second;
	int fd, pipe_fd[2];
	struct lock_owner owner = {0};
	pid_t taker;

	h->app = app_close(h->app);
	ok(pipe(pipe_fd));
	taker = fork();
	if (taker == 0) {
		char byte;

		(void)close(pipe_fd[1]);
		if (state_lock(h->conf->state, "/mnt/x", &fd, &owner) == 0 && fork() == 0)
			(void)!read(pipe_fd[0], &byte, 1); /* until the test is over */
		_exit(0);
	}
	assert_int_equal(waitpid(taker, NULL, 0), taker);
	assert_int_equal(app_open(h->conf, "/mnt/x", &err, &second), -EBUSY);
	assert_non_null(strstr(err.data, "umount -f /mnt/x"));
	ok(close(pipe_fd[0]));
	ok(close(pipe_fd[1]));
}

static void a_lock_that_is_a_symlink(void **state)
{
	struct house *h = *state;
	struct lock_owner owner = {0};
	char path[128];
	int fd;

	h->app = app_close(h->app);
	(void)snprintf(path, sizeof(path), "%s/lock", h->conf->state);
	ok(unlink(path));
	ok(symlink("/tmp/shutterfs-must-not-be-made", path));
	assert_int_equal(state_lock(h->conf->state, NULL, &fd, &owner), -ELOOP);
	assert_int_equal(access("/tmp/shutterfs-must-not-be-made", F_OK), -1);
}

/* ---- verbs through the socket ---- */
struct said {
	int pipe[2], saved;
	char text[65536];
};

/* The client prints; its words are caught. */
static void catch_out(struct said *s)
{
	(void)fflush(stdout);
	ok(pipe(s->pipe));
	s->saved = dup(STDOUT_FILENO);
	assert_int_equal(dup2(s->pipe[1], STDOUT_FILENO), STDOUT_FILENO);
	ok(close(s->pipe[1]));
}

static const char *caught(struct said *s)
{
	size_t len = 0;
	ssize_t n;

	assert_int_equal(dup2(s->saved, STDOUT_FILENO), STDOUT_FILENO);
	ok(close(s->saved));
	while ((n = read(s->pipe[0], s->text + len, sizeof(s->text) - 1 - len)) > 0)
		len += (size_t)n;
	s->text[len] = '\0';
	ok(close(s->pipe[0]));
	return s->text;
}

static int ask(struct house *h, const char *name, size_t n, const char *const *words)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);
	CLEANUP(args_done) struct args args = {0};
	struct io io = {.fd = -1, .verb = name};
	const struct verb *v = verb_find(name);
	int status = -1;

	ok(args_parse(v->options, v->least, v->most, (int)n, words, &args, &err));
	ok(client_run(h->conf->state, v, &args, &io, &status));
	return status;
}

#define ASK(h, ...)                                                                            \
	ask(h, ((const char *[]){__VA_ARGS__})[0], ARRAY_LEN(((const char *[]){__VA_ARGS__})), \
	    (const char *[]){__VA_ARGS__})

static void nobody_answers(void **state)
{
	struct house *h = *state;
	CLEANUP(args_done) struct args args = {0};
	struct io io = {.fd = -1};
	int status;

	assert_int_equal(client_probe(h->conf->state), -ENOENT);
	assert_int_equal(client_run(h->conf->state, verb_find("status"), &args, &io, &status),
			 -ENOENT);
	assert_null(control_stop(control_of(h)));
	assert_int_equal(client_probe(h->conf->state), -ENOENT);
	assert_int_equal(client_probe("/nowhere"), -ENOENT);
}

static void verbs_are_answered(void **state)
{
	struct house *h = *state;
	struct control *c = control_of(h);
	struct said s;

	add_picture(h, "front", 1, NULL);
	catch_out(&s);
	assert_int_equal(ASK(h, "status", "--json"), EXIT_DONE);
	assert_non_null(strstr(caught(&s), "\"snapshots\":1,"));
	assert_non_null(strstr(s.text, "\"mountpoint\":null"));
	catch_out(&s);
	assert_int_equal(ASK(h, "prefetch", "cameras"), EXIT_DONE);
	assert_non_null(strstr(caught(&s), "1 were here already"));
	assert_int_equal(ASK(h, "prefetch", "cameras/nobody", "cameras/front"), EXIT_FAILED);
	assert_int_equal(ASK(h, "prefetch", "/etc"), EXIT_FAILED);
	assert_int_equal(ASK(h, "scan", "nosuch"), EXIT_USAGE);
	assert_null(control_stop(c));
}

static void the_socket_is_ours_alone(void **state)
{
	struct house *h = *state;
	struct control *c = control_of(h);
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/control.sock", h->conf->state);
	ok(stat(path, &st));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_null(control_stop(c));
	assert_int_equal(stat(path, &st), -1);
}

static int connect_to(struct house *h)
{
	struct sockaddr_un to;
	int dir, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ok(control_address(h->conf->state, &dir, &to));
	ok(connect(fd, (struct sockaddr *)&to, sizeof(to)));
	ok(close(dir));
	return fd;
}

static void answer_to(struct house *h, const char *request, size_t len, const char *want)
{
	char text[4096];
	ssize_t n;
	size_t got = 0;
	int fd = connect_to(h);

	assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), (ssize_t)len);
	while ((n = recv(fd, text + got, sizeof(text) - 1 - got, 0)) > 0)
		got += (size_t)n;
	text[got] = '\0';
	assert_non_null(strstr(text, want));
	ok(close(fd));
}

#define ANSWER(h, request, want) \
	answer_to(h, request, sizeof(request), want) /* with its last NUL */

static void requests_by_strangers(void **state)
{
	struct house *h = *state;
	struct control *c = control_of(h);

	ANSWER(h, "frobnicate\0", "exit 1\n");
	ANSWER(h, "mount\0/mnt\0", "exit 1\n"); /* not for the mount to do */
	ANSWER(h, "\0", "exit 1\n");
	ANSWER(h, "status\0--bogus\0", "exit 2\n");
	ANSWER(h, "scan\0", "exit 2\n");
	ANSWER(h, "prefetch\0--\0/../../etc\0", "exit 1\n");
	assert_null(control_stop(c));
}

static void clients_that_leave_or_stay(void **state)
{
	struct house *h = *state;
	struct control *c = control_of(h);
	int fd[40];

	/* half a request, then nothing; more than there are seats */
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = connect_to(h);
		assert_int_equal(send(fd[i], "status", 6, MSG_NOSIGNAL | MSG_DONTWAIT) == 6 ||
					 errno == EPIPE,
				 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(fd) / 2; i++)
		ok(close(fd[i]));
	for (int i = 0; i < 100; i++) {
		struct pollfd last = {.fd = fd[ARRAY_LEN(fd) - 1], .events = POLLIN};

		if (poll(&last, 1, 20) == 1)
			break;
	}
	/* ends at once, whoever is still there */
	int64_t began = mono_us();

	assert_null(control_stop(c));
	assert_true(mono_us() - began < 2000000);
	for (size_t i = ARRAY_LEN(fd) / 2; i < ARRAY_LEN(fd); i++)
		ok(close(fd[i]));
}

/* A client is answered, and the mount works again once it has descriptors. */
static void no_descriptor_left(void **state)
{
	struct house *h = *state;
	struct control *c = control_of(h);
	struct rlimit was, now;
	struct sockaddr_un to;
	char got[256] = "";
	size_t len = 0;
	int dir, probe, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n;

	assert_true(fd >= 0);
	ok(control_address(h->conf->state, &dir, &to));
	ok(getrlimit(RLIMIT_NOFILE, &was));
	probe = open("/dev/null", O_RDONLY | O_CLOEXEC);
	now = (struct rlimit){.rlim_cur = (rlim_t)probe, .rlim_max = was.rlim_max};
	ok(close(probe));
	ok(setrlimit(RLIMIT_NOFILE, &now));
	assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
	ok(connect(fd, (struct sockaddr *)&to, sizeof(to)));
	while (len < sizeof(got) - 1 && (n = read(fd, got + len, sizeof(got) - 1 - len)) > 0)
		len += (size_t)n;
	got[len] = '\0';
	ok(setrlimit(RLIMIT_NOFILE, &was));
	assert_non_null(strstr(got, "no file descriptor left"));
	assert_non_null(strstr(got, "exit 1"));
	assert_int_equal(ASK(h, "status"), 0);
	ok(close(fd));
	ok(close(dir));
	assert_null(control_stop(c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_house_a_state, house_open, house_close),
		cmocka_unit_test_setup_teardown(the_lock_says_whose, house_open, house_close),
		cmocka_unit_test_setup_teardown(a_lock_file_of_garbage, house_open, house_close),
		cmocka_unit_test_setup_teardown(a_lock_that_is_being_given_up, house_open,
						house_close),
		cmocka_unit_test_setup_teardown(a_lock_that_the_dead_keep, house_open, house_close),
		cmocka_unit_test_setup_teardown(a_lock_that_is_a_symlink, house_open, house_close),
		cmocka_unit_test_setup_teardown(nobody_answers, house_open, house_close),
		cmocka_unit_test_setup_teardown(verbs_are_answered, house_open, house_close),
		cmocka_unit_test_setup_teardown(the_socket_is_ours_alone, house_open, house_close),
		cmocka_unit_test_setup_teardown(requests_by_strangers, house_open, house_close),
		cmocka_unit_test_setup_teardown(no_descriptor_left, house_open, house_close),
		cmocka_unit_test_setup_teardown(clients_that_leave_or_stay, house_open,
						house_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
