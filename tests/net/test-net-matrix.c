/* test-net-matrix.c - every fault of a network or a peer against everything that drivers ask: the right error, never wrong or
 * partial bytes, done in time, few tries, one object in the end, and nobody else notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>

#include "net-client.h"
#include "shutterfs/net.h"

#define NA 1 /* the fault has nothing to break in that answer */
#define ENOUGH_US INT64_C(20000000)
#define SHORT_US INT64_C(1500000)
#define CAMERA_TIMEOUT_US INT64_C(1000000)
#define GRACE_US INT64_C(2000000)
enum { THREADS = 24, ASKED_MAX = 3, CAMERA_ASKED_MAX = 7 };

static char bomb[289]; /* 256 KiB of zeros, gzipped */

struct row {
	struct fault fault;
	int want[OPS];                          /* list, get, put, head, delete, capture */
	int64_t retry_after_us, retry_at_least; /* what call.retry_after_us says; 0: nothing */
	const char *origin;                     /* instead of the peer's */
};

#define ALL(r)                   \
	{                        \
		r, r, r, r, r, r \
	}
#define STORE(r, camera)              \
	{                             \
		r, r, r, r, r, camera \
	}
#define BODY(r)                     \
	{                           \
		r, r, NA, NA, NA, r \
	}
#define ANSWER(text) .fault.kind = INSTEAD, .fault.status = text, .fault.body = "<html>no</html>"
#define PAGE "<!DOCTYPE html><html><body>Please log in</body></html>"
#define AGAIN(header, us, least)                                                             \
	.fault.headers = header "\r\n", .want = ALL(-EAGAIN), .retry_after_us = INT64_C(us), \
	.retry_at_least = INT64_C(least)
#define DAY_US 86400000000

static struct row rows[] = {
	{.fault.name = "400", ANSWER("400 Bad Request"), .want = STORE(-EIO, -EPROTO)},
	{.fault.name = "401", ANSWER("401 Unauthorized"), .want = ALL(-EACCES)},
	{.fault.name = "403", ANSWER("403 Forbidden"), .want = ALL(-EACCES)},
	/* not S3's own 404: somebody else answers there, so nothing is missing */
	{.fault.name = "404",
	 ANSWER("404 Not Found"),
	 .want = {-EACCES, -EIO, -EIO, -EACCES, -EIO, -ENOENT}},
	{.fault.name = "409", ANSWER("409 Conflict"), .want = STORE(-EIO, -EPROTO)},
	{.fault.name = "412", ANSWER("412 Precondition Failed"), .want = STORE(-EIO, -EPROTO)},
	{.fault.name = "429", ANSWER("429 Too Many"), AGAIN("Retry-After: 7", 7000000, 7000000)},
	{.fault.name = "429 absurd",
	 ANSWER("429 Too Many"),
	 AGAIN("Retry-After: 99999999999999", DAY_US, DAY_US)},
	{.fault.name = "503 date", ANSWER("503 Busy"), AGAIN("", 3600000000, 3400000000)},
	{.fault.name = "503 past",
	 ANSWER("503 Busy"),
	 AGAIN("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 0, 0)},
	{.fault.name = "503 nonsense", ANSWER("503 Busy"), AGAIN("Retry-After: soon", 0, 0)},
	{.fault.name = "500", ANSWER("500 Oops"), .want = ALL(-EIO)},
	{.fault.name = "502", ANSWER("502 Bad Gateway"), .want = ALL(-EIO)},
	{.fault = {.name = "done and 500", .kind = WHOLE, .status = "500 Oops"}, .want = ALL(-EIO)},
	{.fault = {.name = "no answer", .kind = NO_ANSWER}, .want = ALL(-ECONNRESET)},
	{.fault = {.name = "done, answer lost", .kind = LOST}, .want = ALL(-ECONNRESET)},
	{.fault = {.name = "not done, 200", .kind = NOT_DONE},
	 .want = {NA, NA, -ENOENT, NA, NA, NA}},
	{.fault = {.name = "reset", .kind = RESET}, .want = ALL(-ECONNRESET)},
	{.fault = {.name = "reset in headers", .kind = RESET_HEADERS}, .want = ALL(-ECONNRESET)},
	{.fault = {.name = "closed in headers", .kind = CLOSED_HEADERS}, .want = ALL(-ECONNRESET)},
	{.fault = {.name = "reset after headers", .kind = RESET_BODY}, .want = BODY(-ECONNRESET)},
	{.fault = {.name = "reset at 1", .kind = RESET_BODY, .at = 1}, .want = BODY(-ECONNRESET)},
	{.fault = {.name = "reset at half", .kind = RESET_BODY, .at = 50},
	 .want = BODY(-ECONNRESET)},
	{.fault = {.name = "reset at last-1", .kind = RESET_BODY, .at = 99},
	 .want = BODY(-ECONNRESET)},
	{.fault = {.name = "closed after headers", .kind = CLOSED_BODY}, .want = BODY(-EIO)},
	{.fault = {.name = "closed at 1", .kind = CLOSED_BODY, .at = 1}, .want = BODY(-EIO)},
	{.fault = {.name = "closed at half", .kind = CLOSED_BODY, .at = 50}, .want = BODY(-EIO)},
	{.fault = {.name = "closed at last-1", .kind = CLOSED_BODY, .at = 99}, .want = BODY(-EIO)},
	{.fault = {.name = "longer than it says", .kind = LONGER}, .want = ALL(0)},
	{.fault = {.name = "endless", .kind = ENDLESS},
	 .want = {-EFBIG, -EFBIG, -EFBIG, -EIO, -EFBIG, -EBADMSG}},
	{.fault = {.name = "a byte at a time", .kind = DRIP}, .want = ALL(-ETIMEDOUT)},
	{.fault = {.name = "silence", .kind = STALL}, .want = ALL(-ETIMEDOUT)},
	{.fault = {.name = "stalls in headers", .kind = STALL_HEADERS}, .want = ALL(-ETIMEDOUT)},
	{.fault = {.name = "stalls in body", .kind = STALL_BODY, .at = 50},
	 .want = BODY(-ETIMEDOUT)},
	{.fault = {.name = "endless headers", .kind = ENDLESS_HEADERS}, .want = ALL(-EPROTO)},
	{.fault = {.name = "endless header line", .kind = ENDLESS_LINE}, .want = ALL(-EPROTO)},
	{.fault = {.name = "wrong etag",
		   .kind = WHOLE,
		   .headers = "ETag: \"00000000000000000000000000000000\"\r\n"},
	 .want = ALL(0)},
	{.fault = {.name = "wrong type", .kind = WHOLE, .headers = "Content-Type: text/html\r\n"},
	 .want = ALL(0)},
	{.fault = {.name = "damaged", .kind = DAMAGED}, .want = {NA, -EBADMSG, NA, NA, NA, NA}},
	{.fault = {.name = "stored damaged", .kind = STORED_DAMAGED},
	 .want = {NA, NA, -EIO, NA, NA, NA}},
	{.fault = {.name = "gzip bomb",
		   .kind = INSTEAD,
		   .status = "200 OK",
		   .headers = "Content-Encoding: gzip\r\nContent-Type: image/jpeg\r\n",
		   .body = bomb,
		   .body_len = sizeof(bomb)},
	 .want = {-EIO, -EBADMSG, -EIO, -EBADMSG, 0, -EBADMSG}},
	{.fault = {.name = "206",
		   .kind = WHOLE,
		   .status = "206 Partial",
		   .headers = "Content-Range: bytes 7-20006/90000\r\n"},
	 .want = ALL(-EPROTO)},
	{.fault = {.name = "two lengths", .kind = WHOLE, .headers = "Content-Length: 3\r\n"},
	 .want = ALL(-EPROTO)},
	{.fault = {.name = "login page",
		   .kind = INSTEAD,
		   .status = "200 OK",
		   .headers = "Content-Type: text/html\r\n",
		   .body = PAGE},
	 .want = {-EIO, -EBADMSG, -EIO, -EBADMSG, 0, -EBADMSG}},
	{.fault = {.name = "not HTTP", .kind = INSTEAD, .body = "SSH-2.0-OpenSSH_9.2\r\n"},
	 .want = ALL(-EPROTO)},
	{.fault.name = "refused", .origin = "", .want = ALL(-ECONNREFUSED)},
	{.fault.name = "no such name",
	 .origin = "http://no-such-host.invalid",
	 .want = ALL(-ENETUNREACH)},
};

/* ---- one case ---- */

struct cell {
	const struct row *row;
	enum op op;
	char wrong[512]; /* "" when all is as it should be */
};

static void PRINTF(2, 3) complain(struct cell *cell, const char *fmt, ...)
{
	size_t n = strlen(cell->wrong);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(cell->wrong + n, sizeof(cell->wrong) - n, fmt, ap);
	va_end(ap);
}

static bool late_is_right(const struct cell *cell)
{
	return cell->row->want[cell->op] == -ETIMEDOUT;
}

/* A machine without a name server may take its time instead. */
static bool as_wanted(const struct cell *cell, int r)
{
	return r == cell->row->want[cell->op] ||
	       (r == -ETIMEDOUT && r != -ENETUNREACH && cell->row->want[cell->op] == -ENETUNREACH);
}

static void try_it(struct cell *cell, struct client *client)
{
	int64_t start = mono_us(), budget = late_is_right(cell) ? SHORT_US : ENOUGH_US;
	const struct row *row = cell->row;
	struct call call = {.deadline_us = start + budget};
	int r = client_do(client, cell->op, &call);

	if (!as_wanted(cell, r))
		complain(cell, " %d, not %d (%s)", r, row->want[cell->op], call.why);
	if (mono_us() - start > budget + GRACE_US)
		complain(cell, " took %lld ms", (long long)(mono_us() - start) / 1000);
	if (r < 0 && r != -EBADMSG && !call.why[0])
		complain(cell, " says nothing");
	if (strstr(call.why, "canary"))
		complain(cell, " says a secret: %s", call.why);
	if (call.retry_after_us > row->retry_after_us || call.retry_after_us < row->retry_at_least)
		complain(cell, " Retry-After came as %lld us", (long long)call.retry_after_us);
}

/* All is well again: so must be the next call, on the same connections; and nothing was done twice. */
static void recover(struct cell *cell, struct client *client, struct peer *peer)
{
	struct call call = {.deadline_us = mono_us() + ENOUGH_US};
	unsigned asked = atomic_load(&peer->asked), puts = atomic_load(&peer->puts);
	int r;

	if (asked > (cell->op == CAPTURE ? CAMERA_ASKED_MAX : ASKED_MAX))
		complain(cell, " asked %u times", asked);
	if (puts > 1)
		complain(cell, " sent %u times", puts);
	peer->broken = false;
	usleep(50000); /* what came too much has come */
	r = client_do_again(client, cell->op, &call);
	if (r < 0)
		complain(cell, " then %d (%s)", r, call.why);
	if (cell->op == PUT && !is_picture(peer->object[NEW].data, peer->object[NEW].len))
		complain(cell, " stored something else");
	if (cell->op == PUT && peer->fault->kind == LOST && peer->object[NEW].stored != 1)
		complain(cell, " stored %u times", peer->object[NEW].stored);
}

static void run_cell(struct cell *cell)
{
	struct call call = {.deadline_us = mono_us() + ENOUGH_US};
	const struct row *row = cell->row;
	struct client client = {0};
	struct peer peer;
	char origin[64];

	peer_start(&peer, &row->fault);
	(void)snprintf(origin, sizeof(origin), "http://127.0.0.1:%u", peer.server.port);
	if (row->origin && !row->origin[0]) /* nobody listens there any more */
		server_stop(&peer.server);
	if (client_open(&client, row->origin && row->origin[0] ? row->origin : origin,
			late_is_right(cell) ? CAMERA_TIMEOUT_US : ENOUGH_US) < 0)
		complain(cell, " cannot be opened");
	/* the fault then finds a connection that is in use already */
	else if (!row->origin &&
		 client_do(&client, cell->op == CAPTURE ? CAPTURE : HEAD, &call) < 0)
		complain(cell, " begins badly: %s", call.why);
	peer.broken = true;
	if (!cell->wrong[0])
		try_it(cell, &client);
	if (!row->origin)
		recover(cell, &client, &peer);
	client_close(&client);
	if (!row->origin || row->origin[0])
		server_stop(&peer.server);
	pthread_mutex_destroy(&peer.lock);
}

/* ---- all of them ---- */

static struct cell cells[ARRAY_LEN(rows) * OPS];
static atomic_uint next_cell;
static unsigned n_cells;

static void *work(void *arg)
{
	for (unsigned i; (i = atomic_fetch_add(&next_cell, 1)) < n_cells;)
		run_cell(&cells[i]);
	return NULL;
}

/* Another store and another camera, asked all the while. */
struct bystander {
	_Atomic bool stop;
	unsigned asked, failed;
	int64_t slowest_us, all_us; /* of the answers */
};

static void *stand_by(void *arg)
{
	struct bystander *b = arg;
	struct client client = {0};
	struct peer peer;
	char origin[64];

	peer_start(&peer, NULL);
	(void)snprintf(origin, sizeof(origin), "http://127.0.0.1:%u", peer.server.port);
	b->failed += client_open(&client, origin, ENOUGH_US) < 0;
	while (!b->stop && !b->failed) {
		int64_t start = mono_us();
		struct call call = {.deadline_us = start + ENOUGH_US};
		enum op op = b->asked++ % 2 ? CAPTURE : GET;

		b->failed += client_do(&client, op, &call) < 0;
		start = mono_us() - start;
		b->all_us += start;
		if (start > b->slowest_us)
			b->slowest_us = start;
		usleep(2000);
	}
	client_close(&client);
	server_stop(&peer.server);
	pthread_mutex_destroy(&peer.lock);
	return NULL;
}

static int log_fd, stderr_fd; /* the one catches what is said on the other */

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void every_fault_meets_every_call(void **state)
{
	struct bystander bystander = {0};
	pthread_t thread[THREADS], other;
	int64_t start = mono_us();
	int fds = open_fds();
	unsigned wrong = 0;

	assert_true(dup2(log_fd, STDERR_FILENO) >= 0);
	assert_int_equal(pthread_create(&other, NULL, stand_by, &bystander), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, work, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	bystander.stop = true;
	assert_int_equal(pthread_join(other, NULL), 0);
	(void)dup2(stderr_fd, STDERR_FILENO);
	codec_end(); /* its processes have sockets */
	for (unsigned i = 0; i < n_cells; i++) {
		if (cells[i].wrong[0])
			print_message("%s x %s:%s\n", cells[i].row->fault.name,
				      op_name[cells[i].op], cells[i].wrong);
		wrong += cells[i].wrong[0] != '\0';
	}
	print_message(
		"%zu faults, %u cases, %u wrong, %lld ms; beside them %u calls, slowest %lld ms\n",
		ARRAY_LEN(rows), n_cells, wrong, (long long)(mono_us() - start) / 1000,
		bystander.asked, (long long)bystander.slowest_us / 1000);
	assert_int_equal(wrong, 0);
	assert_int_equal(bystander.failed, 0);
	assert_true(bystander.asked > 20);
	assert_true(bystander.all_us / bystander.asked < SHORT_US / 3);
	assert_true(bystander.slowest_us < ENOUGH_US / 2); /* the machine may be busy */
	assert_int_equal(open_fds(), fds);
}

/* ---- the log ---- */

static bool logged(const char *text)
{
	off_t len = lseek(log_fd, 0, SEEK_END);
	char *all = mmap(NULL, (size_t)len, PROT_READ, MAP_PRIVATE, log_fd, 0);
	bool found;

	assert_ptr_not_equal(all, MAP_FAILED);
	found = memmem(all, (size_t)len, text, strlen(text)) != NULL;
	(void)munmap(all, (size_t)len);
	return found;
}

static void the_log_has_it_all_but_no_secret(void **state)
{
	/* the login as Basic sends it */
	static const char *const secret[] = {CANARY_PASSWORD,
					     CANARY_SECRET,
					     CANARY_TOKEN,
					     CANARY_QUERY,
					     "YWRtaW46Y2FuYXJ5LXBhc3N3b3Jk",
					     "Signature=",
					     "canary"};

	assert_true(logged("PUT http://127.0.0.1:"));
	assert_true(logged("token=****"));
	for (size_t i = 0; i < ARRAY_LEN(secret); i++) {
		if (logged(secret[i]))
			fail_msg("%s is in the log", secret[i]);
	}
}

static int setup(void **state)
{
	static char date[64];
	time_t later = time(NULL) + 3600;
	struct tm tm;

	(void)peer_picture();
	memcpy(bomb,
	       "\x1f\x8b\x08\0\0\0\0\0\x02\x03\xed\xc1\x31\x01\0\0\0\xc2\xa0\xf5\x4f\xed\x6d\x07\xa0",
	       25);
	memcpy(bomb + 279, "\xde\0\x22\xea\x0e\xe2\0\0\x04\0", 10);
	(void)strftime(date, sizeof(date), "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n",
		       gmtime_r(&later, &tm));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].fault.name, "503 date") == 0)
			rows[i].fault.headers = date;
		for (int op = 0; op < OPS; op++) {
			if (rows[i].want[op] != NA)
				cells[n_cells++] = (struct cell){.row = &rows[i],
								 .op = (enum op)op};
		}
	}
	log_fd = memfd_create("log", MFD_CLOEXEC);
	stderr_fd = dup(STDERR_FILENO);
	log_setup(LOG_L_DEBUG, false);
	return log_fd < 0 || stderr_fd < 0 ? -1 : net_init();
}

static int teardown(void **state)
{
	close(stderr_fd);
	close(log_fd);
	net_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_meets_every_call),
		cmocka_unit_test(the_log_has_it_all_but_no_secret),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
