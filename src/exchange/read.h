/* read.h - what the readers of files share. */
#pragma once

#include "member.h"
#include "shutterfs/codec.h"
#include "shutterfs/exchange.h"

struct reading {
	record_fn *fn;
	refused_fn *refused;
	void *user;
	const char *path;
};
/* Hands out {"name":...,"document":...} or {"name":...,"sidecar":...}. name NULL: the document says it. */
int read_document(struct reading *rd, const char *name, const char *raw) MUST_CHECK;
int read_sidecar(struct reading *rd, const char *name, const struct sidecar *s) MUST_CHECK;
/* The whole file through `fn`, item by item; -EBADMSG, -EFBIG with why. */
int read_stream(int fd, size_t max, json_item_fn *fn, void *user, char why[WHY_MAX]) MUST_CHECK;

/* COCO and Camera Traps, MegaDetector: of many pictures, each as a document of its own to foreign_parse. */
int read_coco(struct reading *rd, int fd, char why[WHY_MAX]) MUST_CHECK;
int read_megadetector(struct reading *rd, int fd, char why[WHY_MAX]) MUST_CHECK;
