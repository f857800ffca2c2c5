/* test-perturb.h - another order of threads in every run: whoever locks, unlocks, waits or signals may first lose its turn, or sleep
 * for a moment.  Linked between the rooms and libc (meson.build names the calls). */
#pragma once

#include <stdint.h>

/* Where and how long is drawn from `seed` and the thread's number; 0: no more. */
void perturb(uint64_t seed);
