/* cmd_serve.c - the worker: opens the rooms, is given the mount by its supervisor, serves it, takes the rooms down.
 *
 * All threads have SIGTERM blocked but one that waits for it: libfuse's loop sleeps in sem_wait, which only a signal to the main thread
 * ends, so that thread pokes it until it has.  If the supervisor dies, the worker ends as if asked to. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "letter.h"

#define POKE_NS 20000000
enum { LOOK_S = 5 }; /* how often it is looked whether something is lost */

struct serving {
	struct config *conf;
	const char *conf_file, *mountpoint, *options; /* conf_file: NULL: none was named */
	bool stay, verbose;
	unsigned turn;
	struct app *app;
	struct control *control;
	pthread_t main_thread, signal_thread;
	_Atomic bool ended; /* the loop has returned */
};

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
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)sigaction(SIGUSR1, &poke, NULL);
	(void)sigaction(SIGINT, &ignore, NULL); /* of the terminal: the supervisor hears it */
	(void)sigaction(SIGHUP, &ignore, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

/* Anybody may delete the cache.  One that is confined cannot make it again: its rule went with the directory.  On a read-only disk
 * nobody can. */
static bool cache_is_lost(const struct serving *w)
{
	return w->app->confined && access(w->conf->cache, F_OK) < 0 && errno == ENOENT &&
	       can_be_made(w->conf->cache);
}

/* What another worker is needed for; NULL: nothing. */
static const char *what_is_lost(const struct serving *w)
{
	if (cache_is_lost(w))
		return "the cache is gone: a worker that can make it again takes over";
	if (sync_store_replaced(w->app->sync))
		return "a store's directory is another one now: a worker that opens it takes over";
	return NULL;
}

static void ask_for_another(const struct serving *w, const char *why)
{
	log_info("%s", why);
	if (getppid() == w->app->supervisor)
		(void)kill(getppid(), SIGHUP);
}

static void *signal_thread(void *arg)
{
	struct serving *w = arg;
	const struct timespec pause = {.tv_nsec = POKE_NS}, look = {.tv_sec = LOOK_S};
	const char *why = NULL;
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	while (sigtimedwait(&set, NULL, &look) < 0) {
		if (!why && (why = what_is_lost(w)))
			ask_for_another(w, why);
	}
	while (!w->ended) {
		fs_stop(w->app->fs);
		(void)pthread_kill(w->main_thread, SIGUSR1);
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

/* ---- words with the supervisor ---- */
static int send_kind(enum letter_kind kind)
{
	return letter_send(CHANNEL_FD, &(struct letter){.kind = kind});
}

static int expect(enum letter_kind kind, struct letter *ret)
{
	int r = letter_recv(CHANNEL_FD, ret);

	return r == 0 && ret->kind != kind ? -EPROTO : r;
}

static void send_failed(const struct buf *err)
{
	struct letter l = {.kind = LETTER_FAILED};

	l.len = (uint32_t)(err->len < sizeof(l.data) ? err->len : sizeof(l.data));
	if (l.len)
		memcpy(l.data, err->data, l.len);
	(void)!letter_send(CHANNEL_FD, &l); /* it is gone: nobody to tell */
}

/* ---- the rooms, and the mount ---- */
static int open_rooms(struct serving *w, const struct letter *go, struct buf *err)
{
	char how[CONFINED_TEXT];
	bool confined = confine(w->conf, how);
	int lock = LOCK_FD, r;

	if (!confined && go->turn == 0)
		log_warn("the worker is not confined: %s", how);
	r = app_open_locked(w->conf, w->mountpoint, TAKE_FD(lock), err, &w->app);
	if (r < 0)
		return r;
	w->app->supervisor = getppid();
	w->app->restarts = go->restarts;
	w->app->confined = confined;
	memcpy(w->app->confined_by, how, sizeof(how));
	if (go->turn > 0) {
		cache_resumes(w->app->cache);
		ingest_resumes(w->app->ingest);
	}
	if (w->conf->durability != DURABILITY_CLOSE)
		r = ingest_defer(w->app->ingest);
	return r < 0 ? r : app_new_fs(w->app, w->options, err);
}

static int connect_kernel(struct serving *w, struct letter *ret_ready)
{
	struct letter l;
	struct fs_link link;
	int r = send_kind(LETTER_ROOMS);

	if (r == 0)
		r = expect(LETTER_MOUNT, &l);
	if (r < 0)
		return r;
	link = (struct fs_link){.fd = l.fd, .table = l.table, .turn = w->turn, .init_len = l.len};
	if (l.len > sizeof(link.init))
		return -EPROTO;
	memcpy(link.init, l.data, l.len);
	r = fs_connect(w->app->fs, &link);
	if (r < 0)
		return r;
	*ret_ready = (struct letter){
		.kind = LETTER_READY, .resends = link.resends, .len = (uint32_t)link.init_len};
	memcpy(ret_ready->data, link.init, link.init_len);
	return 0;
}

static int build(struct serving *w, struct buf *err, struct letter *ret_ready)
{
	struct letter go;
	int r = config_load(w->conf_file, err, &w->conf);

	if (r < 0)
		return r == -EACCES ? -EINVAL : r;
	r = send_kind(LETTER_HELLO);
	if (r == 0)
		r = expect(LETTER_GO, &go);
	if (r < 0)
		return r;
	w->turn = go.turn;
	if (w->turn > 0 && !w->stay)
		log_setup(w->verbose ? LOG_L_DEBUG : LOG_L_INFO, true);
	r = open_rooms(w, &go, err);
	if (r == 0)
		r = connect_kernel(w, ret_ready);
	if (r == 0)
		r = app_start_sync(w->app, err);
	if (r == 0)
		r = control_start(w->app, &w->control);
	return r;
}

static void log_what_is_open(const struct serving *w)
{
	const struct config *conf = w->conf;

	log_info(w->turn ? "serving \"%s\" again" : "mounted at \"%s\"", w->mountpoint);
	log_debug("config %s, state %s, cache %s", conf->file ? conf->file : "(embedded defaults)",
		  conf->state, conf->cache);
	for (size_t i = 0; i < conf->n_stores; i++)
		log_debug("store \"%s\": %s", conf->store[i].name, conf->store[i].driver);
	for (size_t i = 0; i < conf->n_cameras; i++)
		log_debug("camera \"%s\": %s", conf->camera[i].name, conf->camera[i].driver);
}

static int serve(struct serving *w, const struct letter *ready)
{
	int r;

	w->main_thread = pthread_self();
	r = -pthread_create(&w->signal_thread, NULL, signal_thread, w);
	if (r < 0)
		return r;
	if (!w->stay)
		leave_terminal(w->verbose);
	log_what_is_open(w);
	r = letter_send(CHANNEL_FD, ready);
	if (r == 0)
		r = fs_loop(w->app->fs);
	w->ended = true;
	(void)pthread_kill(w->signal_thread, SIGTERM); /* it may still wait for one */
	(void)pthread_join(w->signal_thread, NULL);
	return r;
}

static int run(struct serving *w)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	struct letter ready;
	int r = build(w, &err, &ready);

	if (r < 0 && !err.len)
		(void)buf_printf(&err, "cannot start: %s\n", strerror(-r));
	if (r == 0) {
		r = serve(w, &ready);
		if (r < 0)
			(void)buf_printf(&err, "the mount at %s failed: %s\n", w->mountpoint,
					 strerror(-r));
	}
	if (r < 0)
		send_failed(&err);
	log_debug("ending");
	w->control = control_stop(w->control);
	w->app = app_close(w->app);
	log_debug("ended");
	if (r == -EINVAL)
		return EXIT_USAGE;
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

int cmd_serve(const struct args *args, struct io *io)
{
	struct serving w = {.conf_file = args->config,
			    .mountpoint = args->operand[0],
			    .options = args->mount.len ? args->mount.data : "",
			    .stay = args->given & OPT_STAY,
			    .verbose = args->given & OPT_VERBOSE};
	int status;

	hide_memory();
	block_signals();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* no process of ours outlives us with them in its hands */
	if (fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(LOCK_FD, F_SETFD, FD_CLOEXEC) < 0) {
		io_err(io, "serve is started by shutterfs mount");
		return EXIT_USAGE;
	}
	log_setup(w.verbose ? LOG_L_DEBUG : LOG_L_INFO, false);
	status = run(&w);
	(void)config_free(w.conf);
	return status;
}
