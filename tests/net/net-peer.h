/* net-peer.h - a camera and an S3 bucket on loopback that are as they should be until a fault is switched on.
 *
 * The bucket holds one object, old.jpg, and takes another, new.jpg; it counts what it is asked and what it stores, so that a
 * test can say how often something was tried and that it ended as exactly one object.  The camera's picture is the same one. */
#pragma once

#include "../unit/test-net-server.h"
#include "../unit/test-source-jpeg.h"
#include "shutterfs/codec.h"

enum { PICTURE_LEN = 20000, OLD = 0, NEW = 1 };
#define PEER_BUCKET "/snaps"
#define PEER_CAMERA "/front.jpg"

enum fault_kind {
	WHOLE,     /* the right answer, with the row's status line or headers in place of its own */
	NO_ANSWER, /* closed before the first byte */
	LOST,      /* done, then closed before the first byte */
	NOT_DONE,  /* a PUT is answered 200 and forgotten */
	RESET,     /* RST before the first byte */
	RESET_HEADERS,  /* ... within the headers */
	CLOSED_HEADERS, /* the same, in good order */
	RESET_BODY,     /* RST after `at` hundredths of the body */
	CLOSED_BODY,    /* the same, in good order */
	LONGER,         /* more than Content-Length says */
	ENDLESS,        /* chunks for ever */
	DRIP,           /* a byte at a time */
	STALL,          /* nothing */
	STALL_HEADERS,
	STALL_BODY,
	ENDLESS_HEADERS,
	ENDLESS_LINE,
	DAMAGED,        /* a byte of the body turned */
	STORED_DAMAGED, /* a byte of what is stored turned */
	INSTEAD,        /* `status`, `headers` and `body` of the row, whatever was asked */
};

struct fault {
	const char *name;
	enum fault_kind kind;
	const char *status, *headers, *body; /* NULL: as the right answer has it */
	size_t body_len;                     /* 0: strlen(body) */
	unsigned at;
};

struct object {
	char data[PICTURE_LEN];
	size_t len;
	unsigned stored; /* how often; 0: it is not there */
};

struct peer {
	struct server server; /* first: its callback is handed this */
	const struct fault *fault;
	_Atomic bool broken; /* the fault is switched on */
	atomic_uint asked, puts;
	pthread_mutex_t lock;
	struct object object[2]; /* protected by lock */
};

struct reply {
	char status[64], headers[1024];
	char body[PICTURE_LEN];
	size_t len;
	bool bodiless; /* HEAD */
};

/* ---- the picture ---- */

/* A whole JPEG of PICTURE_LEN bytes: the small one with a comment before it. */
static inline const char *peer_picture(void)
{
	static char made[PICTURE_LEN];
	size_t comment = PICTURE_LEN - sizeof(tiny_jpeg);

	memcpy(made, "\xff\xd8\xff\xfe", 4);
	made[4] = (char)((comment - 2) >> 8);
	made[5] = (char)((comment - 2) & 0xff);
	memset(made + 6, 'c', comment - 4);
	memcpy(made + 2 + comment, tiny_jpeg + 2, sizeof(tiny_jpeg) - 2);
	return made;
}

static inline void peer_hash(const void *data, size_t len, struct hashes *ret)
{
	struct hash *h;

	if (hash_new(&h) || hash_add(h, data, len) || hash_end(h, ret))
		abort();
	h = hash_free(h);
}

/* ---- right answers ---- */

static inline void describe(const struct object *o, struct reply *r)
{
	struct hashes h;
	char sha[SHA256_HEX], md5[33];

	peer_hash(o->data, o->len, &h);
	hex_encode(h.sha.b, sizeof(h.sha.b), sha);
	hex_encode(h.md5, sizeof(h.md5), md5);
	(void)snprintf(r->headers, sizeof(r->headers),
		       "Content-Type: image/jpeg\r\nETag: \"%s\"\r\nx-amz-meta-sha256: %s\r\n", md5,
		       sha);
}

static inline void list_objects(const struct peer *p, struct reply *r)
{
	static const char *const name[] = {"old.jpg", "new.jpg"};
	size_t n = 0;

	n += (size_t)snprintf(r->body, sizeof(r->body),
			      "<?xml version=\"1.0\"?><ListBucketResult>");
	for (int i = NEW; i >= OLD; i--) { /* in the order of their names */
		if (p->object[i].stored)
			n += (size_t)snprintf(
				r->body + n, sizeof(r->body) - n,
				"<Contents><Key>pre/%s</Key><LastModified>2026-11-22T10:00:00.000Z"
				"</LastModified><ETag>\"x\"</ETag><Size>%zu</Size></Contents>",
				name[i], p->object[i].len);
	}
	n += (size_t)snprintf(r->body + n, sizeof(r->body) - n,
			      "<IsTruncated>false</IsTruncated></ListBucketResult>");
	r->len = n;
	(void)snprintf(r->headers, sizeof(r->headers), "Content-Type: application/xml\r\n");
}

static inline void store_object(struct peer *p, struct object *o, const struct server_request *req,
				struct reply *r)
{
	enum fault_kind kind = p->broken ? p->fault->kind : WHOLE;
	bool does_it = kind == WHOLE || kind == LOST || kind == LONGER || kind == STORED_DAMAGED;

	if (!does_it || req->body_len > sizeof(o->data))
		return;
	memcpy(o->data, req->body, req->body_len);
	o->len = req->body_len;
	o->data[o->len / 2] = (char)(o->data[o->len / 2] ^ (kind == STORED_DAMAGED ? 0x55 : 0));
	o->stored++;
	describe(o, r);
}

static inline void answer_object(struct peer *p, struct object *o, const struct server_request *req,
				 struct reply *r)
{
	if (strcmp(req->method, "PUT") == 0) {
		store_object(p, o, req, r);
	} else if (strcmp(req->method, "DELETE") == 0) {
		(void)snprintf(r->status, sizeof(r->status), "204 No Content");
		o->stored = 0;
	} else if (!o->stored) {
		(void)snprintf(r->status, sizeof(r->status), "404 Not Found");
		r->len = (size_t)snprintf(r->body, sizeof(r->body),
					  "<Error><Code>NoSuchKey</Code></Error>");
	} else {
		describe(o, r);
		memcpy(r->body, o->data, o->len);
		r->len = o->len;
	}
}

static inline void right_answer(struct peer *p, const struct server_request *req, struct reply *r)
{
	(void)snprintf(r->status, sizeof(r->status), "200 OK");
	r->bodiless = strcmp(req->method, "HEAD") == 0;
	pthread_mutex_lock(&p->lock);
	if (strncmp(req->path, PEER_CAMERA, strlen(PEER_CAMERA)) == 0) {
		(void)snprintf(r->headers, sizeof(r->headers), "Content-Type: image/jpeg\r\n");
		memcpy(r->body, peer_picture(), PICTURE_LEN);
		r->len = PICTURE_LEN;
	} else if (strcmp(req->path, PEER_BUCKET "/pre/old.jpg") == 0) {
		answer_object(p, &p->object[OLD], req, r);
	} else if (strcmp(req->path, PEER_BUCKET "/pre/new.jpg") == 0) {
		answer_object(p, &p->object[NEW], req, r);
	} else if (strcmp(req->method, "GET") == 0) {
		list_objects(p, r);
	}
	pthread_mutex_unlock(&p->lock);
}

/* ---- faults ---- */

static inline void peer_reset(int fd)
{
	struct linger hard = {.l_onoff = 1};

	usleep(30000); /* what was sent before is read before */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	/* connecting to nowhere drops the connection with RST while the number stays ours */
	(void)connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr));
}

static inline void send_head(int fd, const struct fault *f, const struct reply *r)
{
	server_printf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s%s\r\n",
		      f && f->status ? f->status : r->status, r->len,
		      f && f->headers ? f->headers : "", r->headers);
}

static inline void flood(struct server *s, int fd, const char *block, size_t len)
{
	while (!atomic_load(&s->stopping) && send(fd, block, len, MSG_NOSIGNAL) == (ssize_t)len)
		;
}

static inline void endless(struct server *s, int fd, enum fault_kind kind)
{
	char block[1032] = "400\r\n";

	if (kind == ENDLESS) {
		memset(block + 5, 'x', 1024);
		memcpy(block + 1029, "\r\n", 3);
		server_printf(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		flood(s, fd, block, 1031);
	} else if (kind == ENDLESS_HEADERS) {
		server_printf(fd, "HTTP/1.1 200 OK\r\n");
		flood(s, fd, "X: y\r\n", 6);
	} else {
		memset(block, 'y', sizeof(block));
		server_printf(fd, "HTTP/1.1 200 OK\r\nX: ");
		flood(s, fd, block, sizeof(block));
	}
}

static inline void drip(struct server *s, int fd, const struct reply *r)
{
	char head[2048];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n",
			 r->status, r->len, r->headers);

	for (int i = 0; i < n && !atomic_load(&s->stopping); i++) {
		server_send(fd, head + i, 1);
		server_pause(s, fd, 100);
	}
}

static inline bool send_part(struct server *s, int fd, const struct fault *f, struct reply *r)
{
	static const char begun[] = "HTTP/1.1 200 OK\r\nContent-Le";

	if (f->kind == RESET_HEADERS || f->kind == CLOSED_HEADERS || f->kind == STALL_HEADERS) {
		server_send(fd, begun, strlen(begun));
	} else if (f->kind == RESET_BODY || f->kind == CLOSED_BODY || f->kind == STALL_BODY) {
		size_t n = f->at == 1 ? 1 : f->at == 99 ? r->len - 1 : r->len * f->at / 100;

		send_head(fd, f, r);
		server_send(fd, r->body, n);
	}
	if (f->kind == STALL || f->kind == STALL_HEADERS || f->kind == STALL_BODY)
		server_pause(s, fd, 20000);
	else if (f->kind == RESET || f->kind == RESET_HEADERS || f->kind == RESET_BODY)
		peer_reset(fd);
	return false;
}

static inline bool send_whole(int fd, const struct fault *f, struct reply *r)
{
	if (f && f->kind == DAMAGED && r->len)
		r->body[r->len / 2] = (char)(r->body[r->len / 2] ^ 0x55);
	send_head(fd, f, r);
	if (!r->bodiless)
		server_send(fd, r->body, r->len);
	if (f && f->kind == LONGER)
		server_printf(fd, "HTTP/1.1 403 No\r\n\r\n");
	return !f || f->kind != LONGER;
}

static inline bool send_instead(int fd, const struct fault *f, struct reply *r)
{
	const char *body = f->body ? f->body : "";
	size_t len = f->body_len ? f->body_len : strlen(body);

	if (!f->status) { /* no HTTP at all */
		server_send(fd, body, len);
		return false;
	}
	server_printf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", f->status, len,
		      f->headers ? f->headers : "");
	if (!r->bodiless)
		server_send(fd, body, len);
	return true;
}

static inline bool peer_answer(struct server *s, int fd, const struct server_request *req)
{
	struct peer *p = (struct peer *)s;
	const struct fault *f = p->broken ? p->fault : NULL;
	bool put = strcmp(req->method, "PUT") == 0;
	CLEANUP(freep) struct reply *r = calloc(1, sizeof(*r));

	if (f) {
		atomic_fetch_add(&p->asked, 1);
		atomic_fetch_add(&p->puts, put);
	}
	right_answer(p, req, r);
	if (!f)
		return send_whole(fd, NULL, r);
	switch (f->kind) {
	case WHOLE:
	case LONGER:
	case DAMAGED:
	case STORED_DAMAGED:
		return send_whole(fd, f, r);
	case NO_ANSWER:
	case LOST:
		return false;
	case NOT_DONE:
		return put ? server_text(fd, "200 OK", "", "") : send_whole(fd, NULL, r);
	case ENDLESS:
	case ENDLESS_HEADERS:
	case ENDLESS_LINE:
		endless(s, fd, f->kind);
		return false;
	case DRIP:
		drip(s, fd, r);
		return false;
	case INSTEAD:
		return send_instead(fd, f, r);
	default:
		return send_part(s, fd, f, r);
	}
}

static inline void peer_start(struct peer *p, const struct fault *fault)
{
	memset(p, 0, sizeof(*p));
	p->fault = fault;
	pthread_mutex_init(&p->lock, NULL);
	memcpy(p->object[OLD].data, peer_picture(), PICTURE_LEN);
	p->object[OLD].len = PICTURE_LEN;
	p->object[OLD].stored = 1;
	server_start(&p->server, peer_answer);
}
