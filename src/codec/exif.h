/* exif.h - the capture time in an EXIF segment. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `data` is an APP1 segment from its "Exif\0\0" on, at most 64 KiB as the marker's length allows.  False: it has no
 * DateTimeOriginal, or one that no working clock shows. */
bool exif_taken(const uint8_t *data, size_t len, int64_t *ret_us, int *ret_zone_min);
