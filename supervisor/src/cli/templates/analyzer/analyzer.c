/*
 * {name}: how bright each picture is that it is given, as records.
 *
 * framevisor starts it. `framevisor tap {name}.events` shows what it finds, `framevisor logs {name}` what it prints,
 * and `framevisor send {name} '{"threshold": 100}'` changes what is worth a record while it runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmring.h>

static double threshold;

static int fail(const char *what)
{
    fprintf(stderr, "{name}: %s: %s\n", what, shmring_last_error());
    return 1;
}

/* Of each fourth row of the first plane. The memory is the ring's: it is read, never written. */
static double brightness_of(const struct shmring_plane *luma)
{
    uint64_t sum = 0, count = 0;
    for (uint32_t y = 0; y < luma->rows; y += 4) {
        const uint8_t *row = luma->data + y * luma->linesize;
        for (uint32_t x = 0; x < luma->row_bytes; x++)
            sum += row[x];
        count += luma->row_bytes;
    }
    return count > 0 ? (double)sum / (double)count : 0;
}

static int look(shmring_writer *events, const struct shmring_frame *frame)
{
    const double brightness = brightness_of(&frame->planes[0]);
    if (brightness < threshold)
        return SHMRING_OK;
    char data[64];
    snprintf(data, sizeof data, "{\"brightness\":%.1f}", brightness);

    struct shmring_record record;
    SHMRING_INIT(&record);
    record.type = "brightness";
    record.data_json = data;
    record.frame = frame->id; /* which picture, in every ring and recording */
    record.time_utc_ns = frame->capture_utc_ns;
    return shmring_emit(events, &record, NULL);
}

/* {"threshold": NUMBER}; a library for JSON reads more than that. */
static int answer(shmring_reader *reader, const struct shmring_news *news)
{
    const char *key = "\"threshold\":";
    const char *found = strstr(news->data_json, key);
    const char *number = found != NULL ? found + strlen(key) : "";
    char *end;
    const double wanted = strtod(number, &end);
    if (end == number)
        return shmring_refuse(reader, news->message, "expected {\"threshold\": NUMBER}");
    threshold = wanted;
    char data[64];
    snprintf(data, sizeof data, "{\"threshold\":%g}", threshold);
    return shmring_reply(reader, news->message, data);
}

/* Until framevisor stops it. */
static int watch(shmring_reader *reader, shmring_writer *events)
{
    struct shmring_news news;
    for (;;) {
        int status = shmring_next(reader, SHMRING_FOREVER, &news);
        if (status == SHMRING_STOP)
            return 0;
        if (status < 0)
            return fail("reading");
        if (status == SHMRING_MESSAGE) {
            status = answer(reader, &news);
            shmring_free(news.data_json);
        } else if (status == SHMRING_OK) {
            status = look(events, shmring_item_frame(news.item));
            shmring_release(news.item);
        } /* else a restart, say, which the reader follows by itself */
        if (status < 0)
            return fail("telling");
    }
}

int main(void)
{
    const char *ring = getenv("FRAMEVISOR_IN"); /* and how often, the topology says */
    if (ring == NULL) {
        fprintf(stderr, "{name}: FRAMEVISOR_IN names no ring: `framevisor up` starts this program\n");
        return 2;
    }
    struct shmring_attach_options options;
    SHMRING_INIT(&options);
    options.messages = 1;
    shmring_reader *reader;
    shmring_writer *events;
    if (shmring_attach(NULL, ring, &options, &reader) < 0)
        return fail("attaching");
    if (reader == NULL)
        return 0; /* told to stop before the ring was there */
    if (shmring_create(NULL, NULL, NULL, &events) < 0) {
        shmring_detach(reader);
        return fail("taking the event ring");
    }
    const int result = watch(reader, events);
    shmring_finish(events);
    shmring_close(events);
    shmring_detach(reader);
    return result;
}
