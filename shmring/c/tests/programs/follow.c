/* Prints a line for each news of a frame ring: what a C reader is told. follow PROJECT RING [POLICY] */
#include <inttypes.h>

#include "expect.h"

/* Long enough for a loaded machine; the test ends this program sooner. */
#define PATIENCE_NS INT64_C(30000000000)

static void tell(int status, const struct shmring_news *news)
{
    if (status != SHMRING_OK) {
        printf("%s %" PRIu64 "%s%s\n", shmring_status_name(status), news->missed,
               news->reason[0] ? " " : "", news->reason);
        return;
    }
    const struct shmring_frame *frame = shmring_item_frame(news->item);
    printf("frame %" PRIu64 " %" PRIu32 "x%" PRIu32 " %s planes %" PRIu32 " changed %" PRIu32
           " id %s/%" PRIu64 "/%" PRIu64 " sum %" PRIu32 "\n",
           frame->sequence, frame->width, frame->height, shmring_format_name(frame->format),
           frame->plane_count, news->format_changed, frame->id.ring, frame->id.epoch, frame->id.sequence,
           checksum(frame));
    shmring_release(news->item);
}

int main(int argc, char **argv)
{
    struct shmring_attach_options options;
    SHMRING_INIT(&options);
    options.policy = SHMRING_SEQUENTIAL;
    if (argc > 3)
        options.policy = strcmp(argv[3], "latest") == 0 ? SHMRING_LATEST : SHMRING_POLICY_DEFAULT;
    options.reader = "follow";
    options.wait_ns = PATIENCE_NS;
    shmring_reader *reader;
    if (shmring_attach(argv[1], argv[2], &options, &reader) != SHMRING_OK) {
        printf("%s: %s\n", shmring_status_name(shmring_last_status()), shmring_last_error());
        return 1;
    }
    puts("attached");
    fflush(stdout);
    struct shmring_news news;
    int status;
    do {
        status = shmring_next(reader, PATIENCE_NS, &news);
        if (status < 0) {
            printf("%s: %s\n", shmring_status_name(status), shmring_last_error());
            return 1;
        }
        tell(status, &news);
        fflush(stdout);
    } while (status != SHMRING_QUIET && status != SHMRING_ENDED);
    shmring_detach(reader);
    return 0;
}
