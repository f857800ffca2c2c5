/* cmd_mount.c - the life of a mount: fork first, build, mount, tell whoever waits, serve, take down.
 *
 * The process that was called waits on a pipe until the mount is up; until then the daemon's errors go to its terminal.  All
 * threads have signals blocked but one that waits for SIGTERM and SIGINT: libfuse's loop sleeps in sem_wait, which only a signal
 * to the main thread ends, so that thread pokes it until it has. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TAKEOVER_WAIT_US (8 * 1000000LL)
#define POKE_NS 20000000

struct mount {
	struct config *conf;
	char *mountpoint;
	const char *options;
	bool stay, verbose;
	int told_fd; /* the waiting process' pipe; -1 */
	struct app *app;
	struct control *control;
	pthread_t main_thread, signal_thread;
	_Atomic bool ended; /* the loop has returned */
};

/* ---- the mountpoint ---- */
/* A mount whose server died answers ENOTCONN: then its parent is resolved, and its name added. */
int mountpoint_of(const char *typed, char **ret)
{
	CLEANUP(freep) char *copy = strdup(typed);
	CLEANUP(freep) char *parent = NULL;
	char *slash;

	if (!copy)
		return -ENOMEM;
	*ret = realpath(typed, NULL);
	if (*ret)
		return 0;
	if (errno != ENOTCONN)
		return -errno;
	while ((slash = strrchr(copy, '/')) && slash > copy && !slash[1])
		*slash = '\0';
	if (slash)
		*slash = '\0';
	parent = realpath(slash ? (slash == copy ? "/" : copy) : ".", NULL);
	if (!parent)
		return -errno;
	return asprintf(ret, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent,
			slash ? slash + 1 : copy) < 0
		       ? -ENOMEM
		       : 0;
}

/* ---- systemd ---- */
static void sd_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	CLEANUP(closep) int fd = -1;
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(to.sun_path) || !strchr("/@", path[0]))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static void sd_notify_ready(const struct mount *m)
{
	CLEANUP(buf_done) struct buf text = BUF(PATH_MAX + 100);

	if (buf_printf(&text, "READY=1\nSTATUS=Mounted at %s\nMAINPID=%ld", m->mountpoint,
		       (long)getpid()) == 0)
		sd_notify(text.data);
}

/* ---- signals ---- */
static void poked(int sig)
{
	/* its arrival is all: it ends sem_wait */
}

static void block_signals(void)
{
	sigset_t set;
	struct sigaction poke = {.sa_handler = poked}, ignore = {.sa_handler = SIG_IGN};

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)sigaction(SIGUSR1, &poke, NULL);
	(void)sigaction(SIGHUP, &ignore, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

static void *signal_thread(void *arg)
{
	struct mount *m = arg;
	const struct timespec pause = {.tv_nsec = POKE_NS};
	sigset_t set;
	int sig;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigwait(&set, &sig);
	while (!m->ended) {
		fs_stop(m->app->fs);
		(void)pthread_kill(m->main_thread, SIGUSR1);
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

/* ---- the daemon ---- */
/* Core dumps and debuggers would show keys and passwords; sanitizers cannot look for leaks without. */
static void hide_memory(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* A mount that ends, or a verb that works without one, still has the state for a moment. */
static int open_app(struct mount *m, struct buf *err)
{
	int64_t until = mono_us() + TAKEOVER_WAIT_US;
	int r;

	while ((r = app_open(m->conf, m->mountpoint, err, &m->app)) == -EBUSY) {
		if (client_probe(m->conf->state) == 0 || mono_us() > until)
			break;
		buf_done(err);
		*err = BUF(65536);
		(void)usleep(50000);
	}
	return r;
}

static int build(struct mount *m, struct buf *err)
{
	int r = open_app(m, err);

	if (r == 0)
		r = app_new_fs(m->app, m->options, err);
	if (r == 0)
		r = fs_mount(m->app->fs, m->mountpoint, err);
	if (r == 0)
		r = app_start_sync(m->app, err);
	if (r == 0)
		r = control_start(m->app, &m->control);
	if (r < 0 && !err->len)
		(void)buf_printf(err, "cannot start: %s\n", strerror(-r));
	return r;
}

/* Lets the waiting process go, and the terminal with it. */
static void tell_ready(struct mount *m)
{
	sd_notify_ready(m);
	if (m->told_fd < 0)
		return;
	CLEANUP(closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_setup(m->verbose ? LOG_L_DEBUG : LOG_L_INFO, true);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		(void)dup2(null, fd);
	(void)!write_all(m->told_fd, "", 1); /* nobody waits any more: fine */
	closep(&m->told_fd);
	m->told_fd = -1;
}

static void log_what_is_open(const struct mount *m)
{
	const struct config *conf = m->conf;

	log_info("mounted at \"%s\"", m->mountpoint);
	log_debug("config %s, state %s, cache %s", conf->file ? conf->file : "(embedded defaults)",
		  conf->state, conf->cache);
	for (size_t i = 0; i < conf->n_stores; i++)
		log_debug("store \"%s\": %s", conf->store[i].name, conf->store[i].driver);
	for (size_t i = 0; i < conf->n_cameras; i++)
		log_debug("camera \"%s\": %s", conf->camera[i].name, conf->camera[i].driver);
}

static int serve(struct mount *m)
{
	int r;

	m->main_thread = pthread_self();
	r = -pthread_create(&m->signal_thread, NULL, signal_thread, m);
	if (r < 0)
		return r;
	tell_ready(m);
	log_what_is_open(m);
	r = fs_loop(m->app->fs);
	m->ended = true;
	(void)pthread_kill(m->signal_thread, SIGTERM); /* it may still wait for one */
	(void)pthread_join(m->signal_thread, NULL);
	sd_notify("STOPPING=1");
	return r;
}

static int run_daemon(struct mount *m, struct io *io)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	int r;

	hide_memory();
	block_signals();
	log_setup(m->verbose ? LOG_L_DEBUG : LOG_L_INFO, false);
	r = build(m, &err);
	if (r == 0) {
		r = serve(m);
		if (r < 0)
			(void)buf_printf(&err, "the mount at %s failed: %s\n", m->mountpoint,
					 strerror(-r));
	}
	log_debug("ending");
	m->control = control_stop(m->control);
	m->app = app_close(m->app);
	log_debug("ended");
	if (r < 0 && m->told_fd < 0 && !m->stay)
		log_err("%s", err.data);
	else if (r < 0)
		io_err(io, "%s", err.data);
	if (r == -EINVAL)
		return EXIT_USAGE;
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

/* ---- the process that was called ---- */
static int wait_mounted(pid_t pid, int fd, struct io *io)
{
	char byte;
	ssize_t n;
	int status;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR && !io_cancelled(io));
	if (n == 1)
		return EXIT_DONE;
	if (n < 0) /* Ctrl-C: the daemon is in a session of its own and would go on */
		(void)kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

static int run_forked(struct mount *m, struct io *io)
{
	CLEANUP(closep) int in = -1;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		io_err(io, "cannot start: %s", strerror(errno));
		return EXIT_FAILED;
	}
	in = ends[0];
	pid = fork();
	if (pid != 0) {
		(void)close(ends[1]);
		if (pid > 0)
			return wait_mounted(pid, in, io);
		io_err(io, "cannot start: %s", strerror(errno));
		return EXIT_FAILED;
	}
	(void)setsid();
	(void)!chdir("/");
	m->told_fd = ends[1];
	return run_daemon(m, io);
}

int cmd_mount(const struct args *args, struct io *io)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	struct mount m = {.told_fd = -1,
			  .options = args->mount.len ? args->mount.data : "",
			  .stay = args->given & OPT_STAY,
			  .verbose = args->given & OPT_VERBOSE};
	int r = mountpoint_of(args->operand[0], &m.mountpoint), status;
	struct stat st;

	if (r == 0 && stat(m.mountpoint, &st) == 0 && !S_ISDIR(st.st_mode))
		r = -ENOTDIR;
	if (r < 0) {
		io_err(io, "cannot mount at %s: %s", args->operand[0], strerror(-r));
		free(m.mountpoint);
		return EXIT_FAILED;
	}
	r = config_load(args->config, &err, &m.conf);
	if (r < 0) {
		io_err(io, "%s", err.len ? err.data : strerror(-r));
		free(m.mountpoint);
		return EXIT_USAGE;
	}
	status = m.stay ? run_daemon(&m, io) : run_forked(&m, io);
	(void)config_free(m.conf);
	free(m.mountpoint);
	return status;
}
