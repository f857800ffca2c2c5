/* net-tls.h - TLS before a peer: certificates of a CA of our own, right and wrong ones, and a relay that speaks TLS on one
 * side and the peer's plain HTTP on the other. */
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net-peer.h"

struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

struct certificate {
	const char *name; /* subjectAltName, like "DNS:localhost"; NULL: of a CA */
	int from_s, until_s;
	const struct identity *issuer; /* NULL: signs itself */
};

static inline void add_extension(X509 *cert, const struct certificate *c)
{
	X509_EXTENSION *e = c->name ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, c->name)
				    : X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
							  "critical,CA:TRUE");

	if (!e || !X509_add_ext(cert, e, -1))
		abort();
	X509_EXTENSION_free(e);
}

static inline struct identity identity_make(const struct certificate *c)
{
	struct identity me = {.cert = X509_new(), .key = EVP_EC_gen("P-256")};
	const struct identity *issuer = c->issuer ? c->issuer : &me;
	static int serial = 1;
	X509_NAME *name = X509_get_subject_name(me.cert);
	char text[32];

	(void)snprintf(text, sizeof(text), "peer %d", serial);
	if (!X509_set_version(me.cert, 2) ||
	    !ASN1_INTEGER_set(X509_get_serialNumber(me.cert), serial++) ||
	    !X509_gmtime_adj(X509_getm_notBefore(me.cert), c->from_s) ||
	    !X509_gmtime_adj(X509_getm_notAfter(me.cert), c->until_s) ||
	    !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)text, -1,
					-1, 0) ||
	    !X509_set_issuer_name(me.cert, X509_get_subject_name(issuer->cert)) ||
	    !X509_set_pubkey(me.cert, me.key))
		abort();
	add_extension(me.cert, c);
	if (!X509_sign(me.cert, issuer->key, EVP_sha256()))
		abort();
	return me;
}

static inline void identity_done(struct identity *me)
{
	X509_free(me->cert);
	EVP_PKEY_free(me->key);
}

/* ---- the relay ---- */

struct tls {
	SSL_CTX *ctx;
	unsigned port, peer_port;
	int listener;
	pthread_t acceptor;
	atomic_bool stopping;
};

/* `version`: TLS1_2_VERSION...: that one alone. */
static inline SSL_CTX *tls_context(const struct identity *me, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_security_level(ctx, 0); /* the old versions are there to be refused */
	if (!SSL_CTX_set_min_proto_version(ctx, version) ||
	    !SSL_CTX_set_max_proto_version(ctx, version) ||
	    SSL_CTX_use_certificate(ctx, me->cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, me->key) != 1)
		abort();
	return ctx;
}

static inline int connect_peer(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline bool relay_in(SSL *ssl, int plain)
{
	char block[16384];
	int n;

	do {
		n = SSL_read(ssl, block, sizeof(block));
		if (n <= 0)
			return false;
		server_send(plain, block, (size_t)n);
	} while (SSL_pending(ssl) > 0);
	return true;
}

static inline bool relay_out(SSL *ssl, int plain)
{
	char block[16384];
	ssize_t n = recv(plain, block, sizeof(block), 0);

	return n > 0 && SSL_write(ssl, block, (int)n) > 0;
}

/* One connection after the other: the client under test has one. */
static inline void tls_relay(struct tls *t, int fd)
{
	struct timeval limit = {.tv_sec = 5};
	SSL *ssl = SSL_new(t->ctx);
	int plain = -1;
	struct pollfd p[2];

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (SSL_set_fd(ssl, fd) && SSL_accept(ssl) == 1)
		plain = connect_peer(t->peer_port);
	p[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	p[1] = (struct pollfd){.fd = plain, .events = POLLIN};
	while (plain >= 0 && !atomic_load(&t->stopping)) {
		if (poll(p, 2, 50) < 0)
			break;
		if ((p[0].revents && !relay_in(ssl, plain)) ||
		    (p[1].revents && !relay_out(ssl, plain)))
			break;
	}
	SSL_free(ssl);
	if (plain >= 0)
		close(plain);
	close(fd);
}

static inline void *tls_accept(void *arg)
{
	struct tls *t = arg;
	int fd;

	while ((fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		tls_relay(t, fd);
	return NULL;
}

static inline void tls_start(struct tls *t, const struct identity *me, int version,
			     unsigned peer_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	memset(t, 0, sizeof(*t));
	t->ctx = tls_context(me, version);
	t->peer_port = peer_port;
	t->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(t->listener, (struct sockaddr *)&a, sizeof(a)) || listen(t->listener, 16) ||
	    getsockname(t->listener, (struct sockaddr *)&a, &len) ||
	    pthread_create(&t->acceptor, NULL, tls_accept, t))
		abort();
	t->port = ntohs(a.sin_port);
}

static inline void tls_stop(struct tls *t)
{
	atomic_store(&t->stopping, true);
	(void)shutdown(t->listener, SHUT_RDWR);
	pthread_join(t->acceptor, NULL);
	close(t->listener);
	SSL_CTX_free(t->ctx);
}
