/* cage.c - asks the cages: a few of them, kept alive between pictures, replaced when one dies.
 *
 * A cage that dies may have had its fill (its CPU time is for its whole life) or have been killed by somebody, so the question
 * is asked again; a picture is blamed only when fresh cages died over it. */
#include "cage.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_ROOM "codec"

enum {
	CAGES = 4, /* at a time: a picture costs one of them 50 us */
	TRIES = 3,
	PATIENCE_MS = 60000
};

static struct {
	pthread_mutex_t lock; /* over all that follows */
	pthread_cond_t given_back;
	int keeper; /* socket; -1: none */
	pid_t pid;
	int idle[CAGES]; /* sockets */
	unsigned n_idle, n_alive;
	bool known, filtered; /* what the first cage said */
} house = {.lock = PTHREAD_MUTEX_INITIALIZER, .given_back = PTHREAD_COND_INITIALIZER, .keeper = -1};

/* This program is executed again as the keeper, whichever program it is: main() is not for it. */
__attribute__((constructor)) static void become_keeper(int argc, char **argv)
{
	if (argc == 1 && argv[0] && strcmp(argv[0], CAGE_NAME) == 0)
		cage_keep(STDIN_FILENO);
}

/* ---- the keeper ---- */
static void drop_all(void)
{
	while (house.n_idle > 0) {
		(void)close(house.idle[--house.n_idle]);
		house.n_alive--;
	}
	closep(&house.keeper);
	house.keeper = -1;
}

/* A forked process has cages of its own: on these sockets it would read its parent's answers. */
static void forked(void)
{
	(void)pthread_mutex_init(&house.lock, NULL);
	(void)pthread_cond_init(&house.given_back, NULL);
	drop_all();
	house.n_alive = 0;
	house.pid = 0;
}

static void on_fork(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

/* It lives until its socket is closed, whatever a terminal or a service manager tells the whole group. */
static int spawn(int sock, pid_t *ret)
{
	char name[] = CAGE_NAME;
	char *argv[] = {name, NULL}, *env[] = {NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t blocked;
	int r;

	(void)sigemptyset(&blocked);
	(void)sigaddset(&blocked, SIGINT);
	(void)sigaddset(&blocked, SIGTERM);
	(void)sigaddset(&blocked, SIGHUP);
	r = -posix_spawn_file_actions_init(&files);
	if (r < 0)
		return r;
	r = -posix_spawnattr_init(&how);
	if (r == 0) {
		(void)posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK);
		(void)posix_spawnattr_setsigmask(&how, &blocked);
		r = -posix_spawn_file_actions_adddup2(&files, sock, STDIN_FILENO);
		if (r == 0)
			r = -posix_spawn(ret, "/proc/self/exe", &files, &how, argv, env);
		(void)posix_spawnattr_destroy(&how);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return r;
}

static int start_keeper(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CLEANUP(closep) int theirs = -1;
	int ends[2], r;

	(void)pthread_once(&once, on_fork);
	if (house.pid > 0) /* that one is gone */
		(void)waitpid(house.pid, NULL, 0);
	house.pid = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	theirs = ends[1];
	r = spawn(theirs, &house.pid);
	if (r < 0) {
		house.pid = 0;
		(void)close(ends[0]);
		return r;
	}
	house.keeper = ends[0];
	return 0;
}

/* A fresh cage's socket, before its first word. */
static int order_cage(int *ret)
{
	CLEANUP(closep) int theirs = -1;
	int ends[2], r = -EPIPE;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	theirs = ends[1];
	for (int i = 0; i < 2 && (r == -EPIPE || r == -ECONNRESET); i++) {
		r = house.keeper < 0 ? start_keeper() : 0;
		if (r == 0)
			r = cage_send(house.keeper, "", 1, theirs);
		if (r < 0)
			drop_all();
	}
	if (r < 0) {
		(void)close(ends[0]);
		return r;
	}
	*ret = ends[0];
	return 0;
}

/* ---- cages ---- */
static int64_t ms_until(int64_t mono)
{
	int64_t ms = (mono - mono_us()) / 1000;

	return ms > 0 ? ms : 0;
}

/* -EPIPE: it died. */
static int hear(int sock, int64_t until_us, struct cage_answer *ret)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, (int)ms_until(until_us));
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ETIMEDOUT;
	return cage_receive(sock, ret, sizeof(*ret), NULL) == sizeof(*ret) ? 0 : -EPIPE;
}

static void gone(int sock)
{
	(void)close(sock);
	pthread_mutex_lock(&house.lock);
	house.n_alive--;
	pthread_cond_signal(&house.given_back);
	pthread_mutex_unlock(&house.lock);
}

static void give_back(int sock)
{
	pthread_mutex_lock(&house.lock);
	if (house.keeper >= 0) {
		house.idle[house.n_idle++] = TAKE_FD(sock);
		pthread_cond_signal(&house.given_back);
	}
	pthread_mutex_unlock(&house.lock);
	if (sock >= 0)
		gone(sock);
}

static void learn(bool filtered)
{
	bool first;

	pthread_mutex_lock(&house.lock);
	first = !house.known;
	house.known = true;
	house.filtered = filtered;
	pthread_mutex_unlock(&house.lock);
	if (first && !filtered)
		log_warn(
			"this kernel has no seccomp filters: pictures are read in a process with limits only");
}

/* One that nobody asks at the moment; fresh: that was never asked. */
static int take(bool fresh, int64_t until_us, int *ret)
{
	struct cage_answer hello;
	int r = 0, sock = -1;

	pthread_mutex_lock(&house.lock);
	while (r == 0 && !house.n_idle && house.n_alive == CAGES)
		r = cond_wait_until(&house.given_back, &house.lock, until_us);
	if (r == 0 && house.n_idle && (!fresh || house.n_alive == CAGES)) {
		sock = house.idle[--house.n_idle];
		house.n_alive -= fresh;
		if (fresh)
			closep(&sock);
	}
	if (r == 0 && (fresh || sock < 0)) {
		fresh = true;
		r = order_cage(&sock);
		house.n_alive += r == 0;
	}
	pthread_mutex_unlock(&house.lock);
	if (r == 0 && fresh) {
		r = hear(sock, until_us, &hello);
		if (r < 0)
			gone(sock);
		else
			learn(hello.filtered);
	}
	if (r < 0) /* no process could be had, which says nothing about the picture */
		return r == -EPIPE ? -EAGAIN : r;
	*ret = sock;
	return 0;
}

static int ask_one(int sock, int64_t until_us, int fd, uint64_t size, struct cage_answer *ret)
{
	const struct cage_question q = {size};
	int r = cage_send(sock, &q, sizeof(q), fd);

	if (r == 0)
		return hear(sock, until_us, ret);
	return r == -ECONNRESET ? -EPIPE : r;
}

int cage_ask(int fd, uint64_t size, struct jpeg_facts *ret, char why[WHY_MAX])
{
	int64_t until = mono_us() + PATIENCE_MS * 1000LL;
	struct cage_answer a = {0};
	int sock, r = -EPIPE;

	for (int i = 0; i < TRIES && r == -EPIPE; i++) {
		r = take(i > 0, until, &sock);
		if (r < 0)
			return r;
		r = ask_one(sock, until, fd, size, &a);
		if (r < 0)
			gone(sock);
		else
			give_back(sock);
	}
	if (r == -EPIPE) {
		why_set(why, "is a picture that breaks what reads it");
		return -EBADMSG;
	}
	if (r < 0)
		return r;
	/* Nothing that it says is taken for granted. */
	a.why[WHY_MAX - 1] = '\0';
	why_set(why, "%s", a.why);
	*ret = a.facts;
	return a.result > 0 || a.result < -4095 ? -EBADMSG : a.result;
}

/* ---- the door ---- */
int codec_start(void)
{
	int64_t until = mono_us() + PATIENCE_MS * 1000LL;
	int sock, r = take(false, until, &sock);

	if (r == 0)
		give_back(sock);
	return r;
}

void codec_end(void)
{
	pid_t pid;

	pthread_mutex_lock(&house.lock);
	drop_all();
	pid = house.pid;
	house.pid = 0;
	pthread_mutex_unlock(&house.lock);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

const char *codec_cage(void)
{
	const char *said;

	pthread_mutex_lock(&house.lock);
	said = !house.known ? "not started" : house.filtered ? "caged" : "limits only";
	pthread_mutex_unlock(&house.lock);
	return said;
}

static const int64_t day_us = 86400 * 1000000LL;

static int info_from(const struct jpeg_facts *f, struct jpeg_info *ret)
{
	struct jpeg_info info = {.width = f->width, .height = f->height};
	struct civil c = f->taken, local;

	if (!f->width || !f->height || (uint64_t)f->width * f->height > JPEG_PIXELS)
		return -EBADMSG;
	if (f->has_taken && civil_valid(&c) && c.us >= 0 && c.us < 1000000 &&
	    abs(c.zone_min) < 15 * 60) {
		info.exif_taken_us = us_from_civil(&c, f->has_zone);
		/* a clock that is wrong says nothing */
		info.has_exif_time = info.exif_taken_us < now_us() + day_us;
	}
	if (info.has_exif_time) {
		civil_from_us(info.exif_taken_us, &local);
		info.exif_zone_min = f->has_zone ? c.zone_min : local.zone_min;
	} else {
		info.exif_taken_us = 0;
	}
	*ret = info;
	return 0;
}

int jpeg_probe_fd(int fd, struct jpeg_info *ret, char why[WHY_MAX])
{
	struct jpeg_facts facts;
	struct stat st;
	int r;

	why[0] = '\0';
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		why_set(why, "is not a regular file");
		return -EBADMSG;
	}
	r = cage_ask(fd, (uint64_t)st.st_size, &facts, why);
	return r < 0 ? r : info_from(&facts, ret);
}

int jpeg_probe(const void *data, size_t len, struct jpeg_info *ret, char why[WHY_MAX])
{
	CLEANUP(closep) int fd = -1;
	int r;

	why[0] = '\0';
	fd = memfd_create("picture", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, len);
	return r < 0 ? r : jpeg_probe_fd(fd, ret, why);
}
