/* A test's tool: what does not hold is printed with its place and ends the program. */
#ifndef EXPECT_H
#define EXPECT_H

#include <stdio.h>
#include <stdlib.h>

#include <shmring.h>

#define EXPECT(condition)                                                                         \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__,           \
                    #condition, shmring_last_error());                                            \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

/* A call that must fail with this status and a text that has these words. */
#define EXPECT_ERROR(call, wanted, words)                                                         \
    do {                                                                                          \
        EXPECT((call) == (wanted));                                                               \
        EXPECT(shmring_last_status() == (wanted));                                                \
        EXPECT(strstr(shmring_last_error(), (words)) != NULL);                                    \
    } while (0)

#define SECOND INT64_C(1000000000)

/* Of all visible samples of a picture. */
static inline uint32_t checksum(const struct shmring_frame *frame)
{
    uint32_t sum = 0;
    for (uint32_t p = 0; p < frame->plane_count; p++)
        for (uint32_t y = 0; y < frame->planes[p].rows; y++)
            for (uint32_t x = 0; x < frame->planes[p].row_bytes; x++)
                sum = sum * 31 + frame->planes[p].data[y * frame->planes[p].linesize + x];
    return sum;
}

#endif
