/* test-clock.h - a clock that moves by itself only as fast as the machine's, and jumps when every thread waits: to the first moment
 * that one of them waits for.  Linked between the rooms and libc (meson.build names the calls), so pauses cost nothing, and none is
 * left out. */
#pragma once

/* From now on, in this process; only the calling thread may be there. */
void clock_start(void);
