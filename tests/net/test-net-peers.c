/* test-net-peers.c - who is believed and where we let ourselves be sent: certificates of a CA of our own, and redirects to
 * other ports, hosts, schemes and to addresses that no stranger may make us ask.
 *
 * The CA and a name are made known in a mount namespace of this process alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <sched.h>
#include <sys/mount.h>

#include "net-client.h"
#include "net-tls.h"
#include "shutterfs/net.h"

#define ENOUGH_US INT64_C(20000000)
#define YEAR_S (365 * 24 * 3600)

static struct identity ca, stranger; /* the one is known to this machine, the other is not */
static const char *unfit;            /* why certificates cannot be tested here; NULL: they can */

/* ---- TLS ---- */

struct tls_row {
	const char *name, *host;
	struct certificate cert;
	int version;
	int want;
	const char *why; /* must be said */
};

static const struct tls_row tls_rows[] = {
	{"TLS 1.3", "localhost", {"DNS:localhost", -60, YEAR_S, &ca}, TLS1_3_VERSION, 0, ""},
	{"TLS 1.2", "127.0.0.1", {"IP:127.0.0.1", -60, YEAR_S, &ca}, TLS1_2_VERSION, 0, ""},
	{"TLS 1.1", "localhost", {"DNS:localhost", -60, YEAR_S, &ca}, TLS1_1_VERSION, -EPROTO, ""},
	{"TLS 1.0", "localhost", {"DNS:localhost", -60, YEAR_S, &ca}, TLS1_VERSION, -EPROTO, ""},
	{"expired",
	 "localhost",
	 {"DNS:localhost", -YEAR_S, -60, &ca},
	 TLS1_3_VERSION,
	 -EPROTO,
	 "expired"},
	{"not valid yet",
	 "localhost",
	 {"DNS:localhost", 3600, YEAR_S, &ca},
	 TLS1_3_VERSION,
	 -EPROTO,
	 "not yet valid"},
	{"another name",
	 "localhost",
	 {"DNS:example.com", -60, YEAR_S, &ca},
	 TLS1_3_VERSION,
	 -EPROTO,
	 "localhost"},
	{"another address",
	 "127.0.0.1",
	 {"IP:127.0.0.2,DNS:localhost", -60, YEAR_S, &ca},
	 TLS1_3_VERSION,
	 -EPROTO,
	 "127.0.0.1"},
	{"signed by itself",
	 "localhost",
	 {"DNS:localhost", -60, YEAR_S, NULL},
	 TLS1_3_VERSION,
	 -EPROTO,
	 "self"},
	{"of a stranger's CA",
	 "localhost",
	 {"DNS:localhost", -60, YEAR_S, &stranger},
	 TLS1_3_VERSION,
	 -EPROTO,
	 "certificate"},
};

static void check_tls(const struct tls_row *row)
{
	static const struct fault none = {.kind = WHOLE};
	struct identity me = identity_make(&row->cert);
	char origin[64];

	for (int op = LIST; op < OPS; op++) {
		struct client client = {0};
		struct call call = {.deadline_us = mono_us() + ENOUGH_US};
		struct peer peer;
		struct tls tls;
		int r;

		peer_start(&peer, &none);
		tls_start(&tls, &me, row->version, peer.server.port);
		(void)snprintf(origin, sizeof(origin), "https://%s:%u", row->host, tls.port);
		assert_int_equal(client_open(&client, origin, ENOUGH_US), 0);
		r = client_do(&client, (enum op)op, &call);
		client_close(&client);
		tls_stop(&tls);
		server_stop(&peer.server);
		if (r != row->want || !strstr(call.why, row->why))
			fail_msg("%s: %s gave %d: %s", row->name, op_name[op], r, call.why);
		/* not a byte of a request, and so no secret, to whom we do not believe */
		if (row->want < 0)
			assert_int_equal(atomic_load(&peer.server.requests), 0);
	}
	identity_done(&me);
}

static void only_good_certificates_are_believed(void **state)
{
	if (unfit) {
		print_message("%s\n", unfit);
		skip();
	}
	for (size_t i = 0; i < ARRAY_LEN(tls_rows); i++)
		check_tls(&tls_rows[i]);
}

/* ---- redirects ---- */

static struct peer elsewhere; /* another server: whatever it is asked was sent there */

static int capture_from(struct peer *peer, const char *origin, struct call *call)
{
	struct client client = {0};
	int r;

	peer->broken = true;
	assert_int_equal(client_open(&client, origin, ENOUGH_US), 0);
	*call = (struct call){.deadline_us = mono_us() + ENOUGH_US};
	r = client_do(&client, CAPTURE, call);
	client_close(&client);
	assert_null(strstr(call->why, "canary"));
	return r;
}

/* The camera, at `origin` ("%u": its port), answers with a redirect. */
static int redirected(const char *scheme_host, const char *location, struct call *call)
{
	char header[512], origin[128];
	struct fault fault = {
		.kind = INSTEAD, .status = "302 Found", .headers = header, .body = "moved"};
	struct peer peer;
	int r;

	(void)snprintf(header, sizeof(header), "Location: %s\r\n", location);
	peer_start(&peer, &fault);
	(void)snprintf(origin, sizeof(origin), "%s:%u", scheme_host, peer.server.port);
	r = capture_from(&peer, origin, call);
	server_stop(&peer.server);
	/* that is no fault that passes */
	if (r < 0 && atomic_load(&peer.server.requests) != 1)
		fail_msg("%s: asked %u times: %d: %s", location, atomic_load(&peer.server.requests),
			 r, call->why);
	return r;
}

static void elsewhere_has_no_secret(void)
{
	static const char *const secret[] = {"canary", "uthorization", "ookie", "AKID", "x-amz-"};

	pthread_mutex_lock(&elsewhere.server.lock);
	for (size_t i = 0; i < ARRAY_LEN(secret); i++)
		if (strstr(elsewhere.server.last_head, secret[i]))
			fail_msg("it was sent %s", elsewhere.server.last_head);
	pthread_mutex_unlock(&elsewhere.server.lock);
}

/* Each is an address of this machine or of an inner network, told in another way. */
static const char *const inner[] = {
	"localhost",
	"camera.localhost",
	"rebound.example", /* resolves to 127.0.0.1 here */
	"127.0.0.1",
	"127.0.0.2",
	"127.1",
	"2130706433",
	"0x7f000001",
	"0x7f.1",
	"0177.0.0.1",
	"017700000001",
	"0.0.0.0",
	"0",
	"[::1]",
	"[::]",
	"[::ffff:127.0.0.1]",
	"[::ffff:7f00:1]",
	"[::127.0.0.1]",
	"[64:ff9b::127.0.0.1]",
	"[2002:7f00:1::1]",
	"[2001:0:7f00:1::1]",
	"[fe80::1]",
	"[fd00::1]",
	"[ff02::1]",
	"169.254.169.254",
	"10.0.0.1",
	"172.16.0.1",
	"172.31.255.254",
	"192.168.1.1",
	"100.64.0.1",
	"198.18.0.1",
	"224.0.0.1",
	"255.255.255.255",
};

static void no_redirect_leads_into_an_inner_network(void **state)
{
	unsigned before = atomic_load(&elsewhere.server.requests);

	for (size_t i = 0; i < ARRAY_LEN(inner); i++) {
		char location[128];
		struct call call;
		int64_t start = mono_us();
		int r;

		if (unfit && strstr(inner[i], "rebound"))
			continue;
		(void)snprintf(location, sizeof(location), "http://%s:%u/x", inner[i],
			       elsewhere.server.port);
		r = redirected("http://front.localhost", location, &call);
		if (r != -EPROTO)
			fail_msg("%s: %d: %s", location, r, call.why);
		assert_true(mono_us() - start < 5000000);
	}
	assert_int_equal(atomic_load(&elsewhere.server.requests), before);
}

static void no_redirect_leads_out_of_http(void **state)
{
	static const char *const location[] = {"file:///etc/passwd",
					       "gopher://127.0.0.1:70/x",
					       "ftp://127.0.0.1/x",
					       "dict://127.0.0.1/d:x",
					       "ldap://127.0.0.1/x",
					       "data:image/jpeg;base64,/9j/",
					       "smb://127.0.0.1/x",
					       "javascript:0",
					       "http://",
					       "http://a b/",
					       "//",
					       "http://[::1"};

	for (size_t i = 0; i < ARRAY_LEN(location); i++) {
		struct call call;
		int r = redirected("http://127.0.0.1", location[i], &call);

		if (r != -EPROTO)
			fail_msg("%s: %d: %s", location[i], r, call.why);
	}
}

static void another_port_gets_the_question_and_no_secret(void **state)
{
	static const char *const form[] = {"http://", "//", "http://admin:canary-in-url@"};

	for (size_t i = 0; i < ARRAY_LEN(form); i++) {
		unsigned before = atomic_load(&elsewhere.server.requests);
		char location[128];
		struct call call;

		(void)snprintf(location, sizeof(location), "%s127.0.0.1:%u" PEER_CAMERA, form[i],
			       elsewhere.server.port);
		assert_int_equal(redirected("http://127.0.0.1", location, &call), 0);
		assert_int_equal(atomic_load(&elsewhere.server.requests), before + 1);
		elsewhere_has_no_secret();
	}
}

/* From a camera behind TLS: never to plain http, and to another https port without secrets. */
static int redirected_from_https(const struct identity *me, const char *location)
{
	char header[256], origin[64];
	struct fault fault = {.kind = INSTEAD, .status = "307 T", .headers = header, .body = ""};
	struct call call;
	struct peer peer;
	struct tls tls;
	int r;

	(void)snprintf(header, sizeof(header), "Location: %s\r\n", location);
	peer_start(&peer, &fault);
	tls_start(&tls, me, TLS1_3_VERSION, peer.server.port);
	(void)snprintf(origin, sizeof(origin), "https://localhost:%u", tls.port);
	r = capture_from(&peer, origin, &call);
	tls_stop(&tls);
	server_stop(&peer.server);
	return r;
}

static void https_stays_https(void **state)
{
	const struct certificate cert = {"DNS:localhost", -60, YEAR_S, &ca};
	unsigned before = atomic_load(&elsewhere.server.requests);
	struct identity me;
	struct tls tls;
	char location[128];

	if (unfit) {
		print_message("%s\n", unfit);
		skip();
	}
	me = identity_make(&cert);
	(void)snprintf(location, sizeof(location), "http://localhost:%u" PEER_CAMERA,
		       elsewhere.server.port);
	assert_int_equal(redirected_from_https(&me, location), -EPROTO);
	assert_int_equal(atomic_load(&elsewhere.server.requests), before);
	tls_start(&tls, &me, TLS1_3_VERSION, elsewhere.server.port);
	(void)snprintf(location, sizeof(location), "https://localhost:%u" PEER_CAMERA, tls.port);
	assert_int_equal(redirected_from_https(&me, location), 0);
	assert_int_equal(atomic_load(&elsewhere.server.requests), before + 1);
	elsewhere_has_no_secret();
	tls_stop(&tls);
	identity_done(&me);
}

/* Hops within the camera's own origin; `way`: where /1, /2... lead. */
static bool hop(struct server *s, int fd, const struct server_request *req)
{
	unsigned left = (unsigned)(req->path[1] - '0');
	char header[64];

	if (strncmp(req->path, PEER_CAMERA, strlen(PEER_CAMERA)) == 0)
		left = atomic_load(&s->flag);
	if (left == 0)
		return server_reply(fd, "200 OK", "", peer_picture(), PICTURE_LEN);
	(void)snprintf(header, sizeof(header), "Location: /%u\r\n", left - 1);
	return server_text(fd, "301 Moved", header, "");
}

static void three_hops_are_enough(void **state)
{
	struct server server;
	char origin[64];

	server_start(&server, hop);
	(void)snprintf(origin, sizeof(origin), "http://127.0.0.1:%u", server.port);
	for (unsigned hops = 0; hops <= 5; hops++) {
		struct call call = {.deadline_us = mono_us() + ENOUGH_US};
		struct client client = {0};

		atomic_store(&server.flag, hops);
		atomic_store(&server.requests, 0);
		assert_int_equal(client_open(&client, origin, ENOUGH_US), 0);
		assert_int_equal(client_do(&client, CAPTURE, &call), hops <= 3 ? 0 : -EPROTO);
		assert_int_equal(atomic_load(&server.requests), hops <= 3 ? hops + 1 : 4);
		client_close(&client);
	}
	server_stop(&server);
}

/* A signature belongs to one host: where a bucket has moved to is said, not asked. */
static void stores_follow_no_redirect(void **state)
{
	unsigned before = atomic_load(&elsewhere.server.requests);
	char header[128], origin[64];
	struct fault fault = {
		.kind = INSTEAD, .status = "307 Temporary", .headers = header, .body = ""};
	struct peer peer;

	(void)snprintf(header, sizeof(header),
		       "Location: http://127.0.0.1:%u/snaps/pre/old.jpg\r\n",
		       elsewhere.server.port);
	peer_start(&peer, &fault);
	peer.broken = true;
	(void)snprintf(origin, sizeof(origin), "http://127.0.0.1:%u", peer.server.port);
	for (int op = LIST; op <= DELETE; op++) {
		struct call call = {.deadline_us = mono_us() + ENOUGH_US};
		struct client client = {0};

		assert_int_equal(client_open(&client, origin, ENOUGH_US), 0);
		assert_int_equal(client_do(&client, (enum op)op, &call), -EACCES);
		assert_non_null(strstr(call.why, "endpoint"));
		client_close(&client);
	}
	server_stop(&peer.server);
	assert_int_equal(atomic_load(&elsewhere.server.requests), before);
}

/* ---- a machine that knows our CA and our name ---- */

static int write_bundle(void)
{
	FILE *f = fopen("/etc/ssl/certs/ca-certificates.crt", "we");
	int r = f && PEM_write_X509(f, ca.cert) ? 0 : -1;

	return f && fclose(f) == 0 ? r : -1;
}

static int write_hosts(const char *path)
{
	static const char text[] = "127.0.0.1 localhost\n127.0.0.1 rebound.example\n";
	CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	return fd < 0 ? -1 : write_all(fd, text, strlen(text));
}

static const char *make_known(void)
{
	static const char hosts[] = "/etc/ssl/certs/hosts";

	if (geteuid() != 0)
		return "only root can make a CA known to one process";
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/etc/ssl/certs", "tmpfs", 0, NULL) < 0)
		return "no mount namespace with a CA of our own can be had here";
	if (write_bundle() < 0 || write_hosts(hosts) < 0 ||
	    mount(hosts, "/etc/hosts", NULL, MS_BIND, NULL) < 0)
		return "our CA and name cannot be made known here";
	return NULL;
}

static int setup(void **state)
{
	const struct certificate root = {.from_s = -YEAR_S, .until_s = YEAR_S};

	ca = identity_make(&root);
	stranger = identity_make(&root);
	unfit = make_known();
	peer_start(&elsewhere, NULL);
	return codec_start() < 0 ? -1 : net_init();
}

static int teardown(void **state)
{
	server_stop(&elsewhere.server);
	identity_done(&ca);
	identity_done(&stranger);
	codec_end();
	net_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_good_certificates_are_believed),
		cmocka_unit_test(no_redirect_leads_into_an_inner_network),
		cmocka_unit_test(no_redirect_leads_out_of_http),
		cmocka_unit_test(another_port_gets_the_question_and_no_secret),
		cmocka_unit_test(https_stays_https),
		cmocka_unit_test(three_hops_are_enough),
		cmocka_unit_test(stores_follow_no_redirect),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
