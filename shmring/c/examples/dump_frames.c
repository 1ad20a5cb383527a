/*
 * Writes the next pictures of a ring to files:
 *
 *   dump_frames [-r] RING COUNT [FOLDER [PROJECT]]
 *
 * Packed formats as PPM, the luma plane of the others as PGM; with -r all planes as they are, without
 * padding, the size in the file's name.
 *
 *   cc dump_frames.c -o dump_frames $(PKG_CONFIG_PATH=$(scripts/c-path) pkg-config --cflags --libs shmring)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmring.h>

#define SECOND INT64_C(1000000000)

static int write_raw(const struct shmring_frame *frame, FILE *file)
{
    for (uint32_t p = 0; p < frame->plane_count; p++) {
        const struct shmring_plane *plane = &frame->planes[p];
        for (uint32_t y = 0; y < plane->rows; y++)
            if (fwrite(plane->data + y * plane->linesize, 1, plane->row_bytes, file) != plane->row_bytes)
                return -1;
    }
    return 0;
}

/* A row of a packed format as red, green, blue. */
static void to_rgb(const uint8_t *row, uint32_t format, uint32_t width, uint8_t *rgb)
{
    const uint32_t step = format == SHMRING_RGBA ? 4 : 3;
    const int red = format == SHMRING_BGR24 ? 2 : 0;
    for (uint32_t x = 0; x < width; x++, row += step, rgb += 3) {
        rgb[0] = row[red];
        rgb[1] = row[1];
        rgb[2] = row[2 - red];
    }
}

static int write_ppm(const struct shmring_frame *frame, FILE *file)
{
    const struct shmring_plane *plane = &frame->planes[0];
    const size_t row_bytes = (size_t)frame->width * 3;
    uint8_t *rgb = malloc(row_bytes);
    int status = rgb == NULL ? -1 : 0;
    fprintf(file, "P6\n%" PRIu32 " %" PRIu32 "\n255\n", frame->width, frame->height);
    for (uint32_t y = 0; status == 0 && y < plane->rows; y++) {
        to_rgb(plane->data + y * plane->linesize, frame->format, frame->width, rgb);
        if (fwrite(rgb, 1, row_bytes, file) != row_bytes)
            status = -1;
    }
    free(rgb);
    return status;
}

static int write_pgm(const struct shmring_frame *frame, FILE *file)
{
    struct shmring_frame luma = *frame;
    luma.plane_count = 1;
    fprintf(file, "P5\n%" PRIu32 " %" PRIu32 "\n255\n", frame->width, frame->height);
    return write_raw(&luma, file);
}

static int is_packed(uint32_t format)
{
    return format == SHMRING_RGB24 || format == SHMRING_BGR24 || format == SHMRING_RGBA;
}

static int dump(const struct shmring_frame *frame, const char *folder, int raw)
{
    char path[1024], kind[64];
    if (frame->content != SHMRING_PICTURE) {
        fprintf(stderr, "a tensor of %s, no picture\n", shmring_dtype_name(frame->tensor.dtype));
        return -1;
    }
    if (raw)
        snprintf(kind, sizeof kind, "%" PRIu32 "x%" PRIu32 ".%s", frame->width, frame->height,
                 shmring_format_name(frame->format));
    else
        snprintf(kind, sizeof kind, "%s", is_packed(frame->format) ? "ppm" : "pgm");
    snprintf(path, sizeof path, "%s/%06" PRIu64 ".%s", folder, frame->sequence, kind);

    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    int status = raw                        ? write_raw(frame, file)
                 : is_packed(frame->format) ? write_ppm(frame, file)
                                            : write_pgm(frame, file);
    if (fclose(file) != 0 || status != 0) {
        fprintf(stderr, "%s: not written whole\n", path);
        return -1;
    }
    puts(path);
    return 0;
}

/* The next picture in turn, or NULL after an error. */
static shmring_item *next_picture(shmring_reader *reader)
{
    struct shmring_news news;
    for (;;) {
        int status = shmring_next(reader, SECOND, &news);
        if (status == SHMRING_OK)
            return news.item;
        if (status == SHMRING_OVERRUN)
            fprintf(stderr, "missed %" PRIu64 "\n", news.missed);
        if (status < 0) {
            fprintf(stderr, "%s\n", shmring_last_error());
            return NULL;
        }
    }
}

int main(int argc, char **argv)
{
    const int raw = argc > 1 && strcmp(argv[1], "-r") == 0;
    argc -= raw;
    argv += raw;
    if (argc < 3) {
        fprintf(stderr, "usage: dump_frames [-r] RING COUNT [FOLDER [PROJECT]]\n");
        return 2;
    }
    struct shmring_attach_options options;
    SHMRING_INIT(&options);
    options.policy = SHMRING_SEQUENTIAL;

    shmring_reader *reader;
    if (shmring_attach(argc > 4 ? argv[4] : NULL, argv[1], &options, &reader) < 0) {
        fprintf(stderr, "%s\n", shmring_last_error());
        return 1;
    }
    int status = 0;
    for (long left = strtol(argv[2], NULL, 10); left > 0 && status == 0; left--) {
        shmring_item *item = next_picture(reader);
        status = item == NULL ? -1 : dump(shmring_item_frame(item), argc > 3 ? argv[3] : ".", raw);
        shmring_release(item);
    }
    shmring_detach(reader);
    return status == 0 ? 0 : 1;
}
