/* supervisor.c - mounts, keeps the connection, has a worker serve it, starts another when one dies, unmounts.
 *
 * One thread that waits for signals and for its worker's letters (letter.h), and reads nothing else: no request, no file of anybody.
 *   the worker dies     another one takes over the connection, at once, then after pauses; too often in a row: the mount ends
 *   SIGHUP              a worker from the program on disk takes over, once it has found the config right
 *   SIGTERM, SIGINT     the worker ends in order, within END_US; a second one: at once
 * A worker is gone when its end of the channel is closed: one thread of it may be held by the kernel until the next one serves. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "letter.h"

#define END_US 4500000
#define LIVED_WELL_US 60000000 /* its end does not follow from its start */
#define PAUSE_US 100000        /* before the third try; twice that before the next */
#define PAUSE_MAX_US 2000000
/* Ends in a row: from which one on the mount is made anew, for what the kernel asks again may be what kills; and the last one. */
enum { ANEW_AT = 8, GIVE_UP_AT = 12, REAP_MS = 200 };

struct worker {
	pid_t pid;   /* 0: none */
	int channel; /* -1: none */
	int64_t born_us;
	bool greeted; /* it said HELLO: waits for GO, or has it */
	bool reaped;
	int status; /* once reaped */
};
static const struct worker nobody = {.channel = -1};

struct supervisor {
	const struct supervised *what;
	char program[PATH_MAX];
	const char *words[12];
	int told_fd, signal_fd;
	struct fs_mount *mount;
	struct letter began; /* READY of the worker that answered the kernel; len 0: none has */
	struct worker worker, next;
	unsigned turn, restarts, failures;
	int64_t start_us, end_us; /* mono_us: when to start a worker, when to kill it; 0: not */
	bool up;                  /* one was ready */
	bool stuck;               /* the kernel may hold something of a dead one */
	bool ending, done;
	int status;
};

static void PRINTF(2, 3) say(const struct supervisor *s, const char *fmt, ...)
{
	char line[2 * LETTER_DATA];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (s->up && !s->what->stay)
		log_err("%s", line);
	else
		io_err(s->what->io, "%s", line);
}

/* ---- workers ---- */
/* In the child: it has three descriptors for people, the channel, the lock, and no others. */
static void become_worker(const struct supervisor *s, int channel)
{
	int high = fcntl(channel, F_DUPFD, 10), lock = fcntl(s->what->lock_fd, F_DUPFD, 10);
	sigset_t none;

	(void)sigemptyset(&none);
	if (high < 0 || lock < 0 || dup2(high, CHANNEL_FD) < 0 || dup2(lock, LOCK_FD) < 0)
		_exit(126);
	(void)close_range(LOCK_FD + 1, ~0U, 0);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execv(s->program, (char **)s->words);
	_exit(127);
}

static int start(struct supervisor *s, struct worker *w)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		become_worker(s, ends[1]);
	(void)close(ends[1]);
	if (pid < 0) {
		(void)close(ends[0]);
		return -errno;
	}
	*w = (struct worker){.pid = pid, .channel = ends[0], .born_us = mono_us()};
	return 0;
}

static void tell(struct worker *w, const struct letter *l)
{
	if (letter_send(w->channel, l) < 0) /* it is gone, or will be */
		(void)kill(w->pid, SIGKILL);
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct worker *w = pid == s->worker.pid ? &s->worker
				   : pid == s->next.pid ? &s->next
							: NULL;
		if (w) {
			w->reaped = true;
			w->status = status;
		}
	}
}

/* It has closed its channel, so it is dead but for what the kernel holds of it. */
static void bury(struct supervisor *s, struct worker *w)
{
	int64_t until = mono_us() + REAP_MS * 1000;

	closep(&w->channel);
	w->channel = -1;
	if (!w->reaped)
		(void)kill(w->pid, SIGKILL);
	for (reap(s); !w->reaped && mono_us() < until; reap(s))
		(void)usleep(2000);
}

static void how_it_ended(const struct worker *w, char *out, size_t size)
{
	if (w->reaped && WIFEXITED(w->status))
		(void)snprintf(out, size, "ended with status %d", WEXITSTATUS(w->status));
	else
		(void)snprintf(out, size, "was ended by signal %d",
			       w->reaped ? WTERMSIG(w->status) : SIGKILL);
}

static void finish(struct supervisor *s, int status)
{
	s->done = true;
	s->status = status;
}

static void go(struct supervisor *s)
{
	tell(&s->worker,
	     &(struct letter){.kind = LETTER_GO, .turn = s->turn++, .restarts = s->restarts});
}

/* When to try again, after so many ends in a row. */
static int64_t pause_us(unsigned failures)
{
	int64_t us = failures < 3 ? 0 : (int64_t)PAUSE_US << (failures - 3);

	return us < PAUSE_MAX_US ? us : PAUSE_MAX_US;
}

static void start_again(struct supervisor *s, const struct worker *dead)
{
	char how[64];

	how_it_ended(dead, how, sizeof(how));
	s->failures = mono_us() - dead->born_us > LIVED_WELL_US ? 1 : s->failures + 1;
	if (s->failures >= GIVE_UP_AT) {
		say(s, "the worker %s, for the %uth time in a row: %s is unmounted", how,
		    s->failures, s->what->mountpoint);
		finish(s, EXIT_FAILED);
		return;
	}
	log_warn("the worker %s: starting another", how);
	if (!s->began.resends || s->failures >= ANEW_AT) {
		if (!dead->reaped)
			fs_mount_abort(s->mount);
		s->mount = fs_mount_close(s->mount);
		s->began = (struct letter){0};
	}
	s->restarts++;
	s->start_us = mono_us() + pause_us(s->failures);
}

static bool ended_well(const struct worker *w)
{
	return w->reaped && WIFEXITED(w->status) && WEXITSTATUS(w->status) == EXIT_DONE;
}

/* The first one: it has said why, unless it was killed. */
static void start_failed(struct supervisor *s, const struct worker *dead)
{
	bool said = dead->reaped && WIFEXITED(dead->status);
	char how[64];

	how_it_ended(dead, how, sizeof(how));
	if (!said)
		say(s, "cannot start: the worker %s", how);
	finish(s, said ? WEXITSTATUS(dead->status) : EXIT_FAILED);
}

static void worker_gone(struct supervisor *s)
{
	struct worker dead;

	bury(s, &s->worker);
	dead = s->worker;
	s->worker = nobody;
	s->stuck = s->stuck || !dead.reaped;
	if (s->ending) {
		finish(s, s->status);
	} else if (s->next.pid) {
		s->worker = s->next;
		s->next = nobody;
		s->failures = 0;
		s->restarts++;
		if (s->worker.greeted)
			go(s);
	} else if (ended_well(&dead)) {
		finish(s, EXIT_DONE); /* somebody else has unmounted, or ended it */
	} else if (!s->up) {
		start_failed(s, &dead);
	} else {
		start_again(s, &dead);
	}
}

/* ---- letters ---- */
static void give_mount(struct supervisor *s)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);
	struct letter l = s->began;
	int r = 0;

	if (!s->mount)
		r = fs_mount_open(s->what->mountpoint, s->what->options, &err, &s->mount);
	if (r < 0) {
		say(s,
		    "cannot mount at \"%s\": is it an empty directory of yours, is /dev/fuse there, is fuse3 installed?",
		    s->what->mountpoint);
		finish(s, EXIT_FAILED);
		return;
	}
	l.kind = LETTER_MOUNT;
	l.fd = fs_mount_fd(s->mount);
	l.table = fs_mount_table(s->mount);
	tell(&s->worker, &l);
}

/* Lets the waiting process go, and the terminal with it. */
static void is_up(struct supervisor *s)
{
	CLEANUP(buf_done) struct buf text = BUF(PATH_MAX + 100);

	if (buf_printf(&text, "READY=1\nSTATUS=Mounted at %s\nMAINPID=%ld", s->what->mountpoint,
		       (long)getpid()) == 0)
		sd_notify(text.data);
	s->up = true;
	if (!s->what->stay)
		leave_terminal(s->what->verbose);
	if (s->told_fd >= 0)
		(void)!write_all(s->told_fd, "", 1); /* nobody waits any more: fine */
	closep(&s->told_fd);
	s->told_fd = -1;
}

static void hear(struct supervisor *s, struct worker *w)
{
	struct letter l;
	int r = letter_recv(w->channel, &l);

	if (r == -EPIPE && w == &s->next) {
		bury(s, w);
		*w = nobody;
		log_err("the new worker did not start; the old one goes on");
	} else if (r == -EPIPE) {
		worker_gone(s);
	} else if (r < 0) {
		say(s,
		    "this version cannot take over from the one that mounted: unmount, and mount again");
		(void)kill(w->pid, SIGKILL);
	} else if (l.kind == LETTER_FAILED) {
		say(s, "%.*s", (int)l.len, l.data);
	} else if (l.kind == LETTER_HELLO) {
		w->greeted = true;
		if (w == &s->worker)
			go(s);
		else if (s->worker.pid) /* a kill is a supported way to end */
			(void)kill(s->worker.pid, SIGKILL);
	} else if (l.kind == LETTER_ROOMS && w == &s->worker) {
		give_mount(s);
	} else if (l.kind == LETTER_READY && w == &s->worker) {
		s->began = l;
		if (!s->up)
			is_up(s);
	}
}

/* ---- signals and time ---- */
static void end(struct supervisor *s)
{
	if (!s->ending && s->worker.pid) {
		s->end_us = mono_us() + END_US;
		(void)kill(s->worker.pid, SIGTERM);
	} else if (s->worker.pid) {
		s->status = EXIT_FAILED;
		s->end_us = mono_us();
	} else {
		finish(s, EXIT_DONE);
	}
	s->ending = true;
}

static void hear_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
			end(s);
		} else if (info.ssi_signo == SIGHUP && s->up && !s->ending && !s->next.pid) {
			log_info("a new worker is to take over");
			if (start(s, &s->next) < 0)
				log_err("the new worker did not start; the old one goes on");
		}
	}
	reap(s);
}

static void keep_time(struct supervisor *s)
{
	int64_t now = mono_us();

	if (s->end_us && now >= s->end_us && s->worker.pid) {
		log_warn("the worker is killed: it did not end in time, or was not to");
		(void)kill(s->worker.pid, SIGKILL);
		fs_mount_abort(s->mount);
		s->end_us = 0;
	}
	if (!s->start_us || now < s->start_us || s->ending)
		return;
	s->start_us = 0;
	if (s->mount && fs_mount_gone(s->mount))
		finish(s, EXIT_DONE);
	else if (start(s, &s->worker) < 0)
		s->start_us = now + PAUSE_MAX_US;
}

static int wait_ms(const struct supervisor *s)
{
	int64_t at = s->ending ? s->end_us : s->start_us, left = (at - mono_us()) / 1000 + 1;

	if (!at)
		return -1;
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

static void run(struct supervisor *s)
{
	while (!s->done) {
		struct pollfd set[] = {{.fd = s->signal_fd, .events = POLLIN},
				       {.fd = s->worker.channel, .events = POLLIN},
				       {.fd = s->next.channel, .events = POLLIN}};

		if (poll(set, ARRAY_LEN(set), wait_ms(s)) < 0)
			continue;
		if (set[0].revents)
			hear_signals(s);
		if (set[2].revents)
			hear(s, &s->next);
		if (set[1].revents && !s->done)
			hear(s, &s->worker);
		if (!s->done)
			keep_time(s);
	}
}

/* ---- life ---- */
static int open_signals(int *ret_fd)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* The program as it is on disk now, and later. */
static int find_program(char out[PATH_MAX])
{
	static const char gone[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
	size_t len = sizeof(gone) - 1;

	if (n < 0)
		return -errno;
	out[n] = '\0';
	if ((size_t)n > len && strcmp(out + n - len, gone) == 0)
		out[(size_t)n - len] = '\0';
	return 0;
}

static void set_words(struct supervisor *s)
{
	const struct supervised *what = s->what;
	size_t n = 0;

	s->words[n++] = s->program;
	s->words[n++] = "serve";
	if (what->config) {
		s->words[n++] = "-c";
		s->words[n++] = what->config;
	}
	if (what->stay)
		s->words[n++] = "-f";
	if (what->verbose)
		s->words[n++] = "-v";
	s->words[n++] = "-o";
	s->words[n++] = what->options;
	s->words[n++] = "--";
	s->words[n++] = what->mountpoint;
	s->words[n] = NULL;
}

static void take_down(struct supervisor *s)
{
	sd_notify("STOPPING=1");
	for (struct worker *w = &s->next; w; w = w == &s->next ? &s->worker : NULL)
		if (w->pid) {
			(void)kill(w->pid, SIGKILL);
			bury(s, w);
			s->stuck = s->stuck || !w->reaped;
		}
	if (s->mount && s->stuck)
		fs_mount_abort(s->mount);
	s->mount = fs_mount_close(s->mount);
	closep(&s->signal_fd);
	closep(&s->told_fd);
}

int supervise(const struct supervised *what)
{
	struct supervisor s = {.what = what,
			       .told_fd = what->told_fd,
			       .signal_fd = -1,
			       .worker = nobody,
			       .next = nobody};
	int r = find_program(s.program);

	set_words(&s);
	log_setup(what->verbose ? LOG_L_DEBUG : LOG_L_INFO, false);
	if (r == 0)
		r = open_signals(&s.signal_fd);
	if (r == 0)
		r = start(&s, &s.worker);
	if (r == 0) {
		run(&s);
	} else {
		io_err(what->io, "cannot start: %s", strerror(-r));
		s.status = EXIT_FAILED;
	}
	take_down(&s);
	return s.status;
}
