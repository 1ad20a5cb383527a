/*
 * Where is the light? For each picture of a ring, one record in this program's own event ring: the centre
 * of all that is brighter than the picture's mean.
 *
 *   centroid [RING [EVENTS [PROJECT]]]
 *
 * As a worker of a topology it needs no arguments:
 *
 *   where: {run: [./centroid], in: cam1.frames}
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <shmring.h>

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static int fail(const char *what)
{
    fprintf(stderr, "centroid: %s: %s\n", what, shmring_last_error());
    return 1;
}

struct centroid {
    double x, y, light; /* pixels, pixels, sum above the mean */
};

static double mean_of(const struct shmring_plane *luma)
{
    double sum = 0;
    for (uint32_t y = 0; y < luma->rows; y++) {
        const uint8_t *row = luma->data + y * luma->linesize;
        uint64_t row_sum = 0;
        for (uint32_t x = 0; x < luma->row_bytes; x++)
            row_sum += row[x];
        sum += (double)row_sum;
    }
    return sum / ((double)luma->rows * luma->row_bytes);
}

/* In packed formats each colour counts as light of its own. */
static struct centroid centroid_of(const struct shmring_plane *luma, uint32_t width)
{
    const uint32_t pixel_bytes = luma->row_bytes / width;
    const double mean = mean_of(luma);
    struct centroid sum = {0, 0, 0};
    for (uint32_t y = 0; y < luma->rows; y++) {
        const uint8_t *row = luma->data + y * luma->linesize;
        for (uint32_t x = 0; x < luma->row_bytes; x++) {
            const double light = row[x] > mean ? row[x] - mean : 0;
            sum.x += light * (x / pixel_bytes);
            sum.y += light * y;
            sum.light += light;
        }
    }
    if (sum.light > 0) {
        sum.x /= sum.light;
        sum.y /= sum.light;
    }
    return sum;
}

static int emit(shmring_writer *events, const struct shmring_frame *frame)
{
    const struct centroid found = centroid_of(&frame->planes[0], frame->width);
    char data[128];
    snprintf(data, sizeof data, "{\"x\":%.2f,\"y\":%.2f,\"light\":%.0f}", found.x, found.y, found.light);

    struct shmring_record record;
    SHMRING_INIT(&record);
    record.type = "centroid";
    record.data_json = data;
    record.frame = frame->id; /* which picture, in every ring and recording */
    record.time_utc_ns = frame->capture_utc_ns;
    return shmring_emit(events, &record, NULL);
}

/* Until a signal or an error. */
static int watch(shmring_reader *reader, shmring_writer *events)
{
    const int64_t look_up_ns = 100000000; /* a signal does not end a wait */
    struct shmring_news news;
    while (!stopped) {
        int status = shmring_next(reader, look_up_ns, &news);
        if (status == SHMRING_OVERRUN)
            fprintf(stderr, "centroid: too slow, missed %" PRIu64 " pictures\n", news.missed);
        if (status < 0)
            return fail("reading");
        if (status != SHMRING_OK)
            continue;

        const struct shmring_frame *frame = shmring_item_frame(news.item);
        if (news.format_changed && frame->content == SHMRING_PICTURE)
            fprintf(stderr, "centroid: pictures are %" PRIu32 "x%" PRIu32 " %s\n", frame->width,
                    frame->height, shmring_format_name(frame->format));
        if (frame->content == SHMRING_PICTURE)
            status = emit(events, frame);
        shmring_release(news.item);
        if (status < 0)
            return fail("emitting");
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *ring = argc > 1 ? argv[1] : getenv("FRAMEVISOR_IN");
    const char *events_ring = argc > 2 ? argv[2] : NULL; /* NULL: this program's own */
    const char *project = argc > 3 ? argv[3] : NULL;     /* NULL: the one that has the ring */
    if (ring == NULL) {
        fprintf(stderr, "usage: centroid [RING [EVENTS [PROJECT]]]\n");
        return 2;
    }
    signal(SIGINT, stop);
    signal(SIGTERM, stop);

    struct shmring_attach_options options;
    SHMRING_INIT(&options);
    options.policy = SHMRING_SEQUENTIAL;
    shmring_reader *reader;
    shmring_writer *events;
    if (shmring_attach(project, ring, &options, &reader) < 0)
        return fail("attaching");
    if (shmring_create(project, events_ring, NULL, &events) < 0) {
        shmring_detach(reader);
        return fail("taking the event ring");
    }
    const int result = watch(reader, events);
    shmring_finish(events);
    shmring_close(events);
    shmring_detach(reader);
    return result;
}
