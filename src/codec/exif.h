/* exif.h - the capture time in an EXIF segment. */
#pragma once

#include "shutterfs/base.h"

/* `data` is an APP1 segment from its "Exif\0\0" on, at most 64 KiB as the marker's length allows.  False: it has no
 * DateTimeOriginal, or one that no working clock shows.  Without a zone zone_min is 0: it is the mount's. */
bool exif_taken(const uint8_t *data, size_t len, struct civil *ret, bool *ret_has_zone);
