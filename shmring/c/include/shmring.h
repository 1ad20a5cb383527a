/*
 * shmring: named broadcast rings in shared memory for pictures, encoded packets and records.
 *
 * One program writes a ring, any number read it, and no reader can slow, stop or corrupt the writer.
 * A reader attaches by name; size, format and codec come from the ring. docs/c.md begins with a
 * program of twenty lines.
 *
 *   Answers    Calls give an int: SHMRING_OK or other news above it, an error (SHMRING_E_...) below.
 *              shmring_last_error() is the text of this thread's last error: what was seen, what was
 *              expected, what to do. No call prints, exits, aborts or calls back.
 *   Handles    What is opaque is made by one call and ended by one other, which takes NULL too.
 *              Handing in a handle that has ended is as wrong as using memory after free().
 *   Structs    What a program fills in begins with `size`; SHMRING_INIT sets it and makes all else 0,
 *              which is the default of each field. What the library shows tells its own `size`, and
 *              may be longer for a newer library. Fixed structs have reserved fields instead.
 *   Text       UTF-8 and NUL-terminated, both ways.
 *   Times      Nanoseconds. `mono` is CLOCK_MONOTONIC, `utc` is since 1970. A timeout below 0 waits for
 *              ever, 0 not at all. Signals do not end a wait.
 *   Threads    Every handle may be used from any thread; calls on one reader or writer take turns, so a
 *              wait holds up others on the same handle. No other call may run or follow on a handle
 *              that is being ended. Items may be read by several threads at once.
 *   fork       Handles belong to the process that made them. In a forked child calls on them give
 *              SHMRING_E_FORKED and ending them does nothing: attach again there. Pictures stay mapped,
 *              but only the parent's lease keeps them unchanged.
 */
#ifndef SHMRING_H
#define SHMRING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised with what breaks programs (also the library's soname), and with what is added. */
#define SHMRING_ABI_MAJOR 0
#define SHMRING_ABI_MINOR 2

/* (major << 16) | minor of the library that was loaded. */
uint32_t shmring_abi_version(void);

/* Makes a struct that a program fills in ready for it: its size, and the default everywhere else. */
#define SHMRING_INIT(pointer) \
    (memset((pointer), 0, sizeof *(pointer)), (void)((pointer)->size = (uint32_t)sizeof *(pointer)))

/* ---- Answers ----------------------------------------------------------------------------------- */

enum shmring_status {
    SHMRING_OK = 0,        /* Done. From shmring_next: an item. */
    SHMRING_OVERRUN = 1,   /* Items were overwritten before this reader came to them. */
    SHMRING_NEW_EPOCH = 2, /* The writer was restarted; what follows is of its new life. */
    SHMRING_QUIET = 3,     /* Nothing new within the time. */
    SHMRING_ENDED = 4,     /* The writer finished and all it wrote was read. A new one may come. */
    SHMRING_EVICTED = 5,   /* This reader is essential and fell behind its deadline: the writer keeps
                              nothing for it until it has caught up. It reads on. */
    SHMRING_MESSAGE = 6,   /* Somebody says something to this worker, who waits 10 s for shmring_reply(). */
    SHMRING_STOP = 7,      /* This worker is to end, or its supervisor is gone. */

    SHMRING_E_ARGUMENT = -1,    /* NULL, no UTF-8, a bad name, or a value out of range. */
    SHMRING_E_NO_RING = -2,     /* Nobody has made a ring of this name. */
    SHMRING_E_AMBIGUOUS = -3,   /* Several projects have it: name one. */
    SHMRING_E_WRONG_KIND = -4,  /* The ring or item is of another kind. */
    SHMRING_E_NO_PLACE = -5,    /* As many readers are attached as the ring has places. */
    SHMRING_E_NO_LEASE = -6,    /* As many frames are held as this reader may: release one. */
    SHMRING_E_NO_SLOT = -7,     /* All slots of the ring are held. */
    SHMRING_E_TOO_LARGE = -8,   /* It does not fit the ring or its slot. */
    SHMRING_E_HAS_WRITER = -9,  /* Another process writes this ring. */
    SHMRING_E_DENIED = -10,     /* The ring is another user's; the text names owner and group. */
    SHMRING_E_NO_SPACE = -11,   /* No room in /dev/shm. */
    SHMRING_E_LAYOUT = -12,     /* Written by another version of shmring. */
    SHMRING_E_DAMAGED = -13,    /* A file of the ring is not what its name says. */
    SHMRING_E_BAD_RECORD = -14, /* No record, or its data is no JSON. */
    SHMRING_E_FORKED = -15,     /* The handle belongs to the parent process. */
    SHMRING_E_IO = -16,         /* The system refused, for the reason in the text. */
    SHMRING_E_BUG = -17         /* A bug in this library; the text has its place. */
};

/* "SHMRING_QUIET" for 3, and so on; "unknown" for what is none. Never NULL. */
const char *shmring_status_name(int status);

/* Text of this thread's last error; valid until its next one. "" before the first, never NULL. */
const char *shmring_last_error(void);

/* Its status, for calls that give a pointer; SHMRING_OK before the first. */
int shmring_last_status(void);

/* ---- Values ------------------------------------------------------------------------------------ */

/* How a picture's samples lie: shmring/LAYOUT.md. */
enum shmring_format {
    SHMRING_YUV420P = 1, /* Planar Y, U, V; chroma halved both ways, rounded up. */
    SHMRING_YUV422P = 2, /* Planar Y, U, V; chroma halved across. */
    SHMRING_YUV444P = 3, /* Planar Y, U, V; full chroma. */
    SHMRING_NV12 = 4,    /* Y plane, then interleaved UV; chroma halved both ways. */
    SHMRING_GRAY8 = 5,   /* One plane. */
    SHMRING_RGB24 = 6,   /* Packed R, G, B. */
    SHMRING_BGR24 = 7,   /* Packed B, G, R. */
    SHMRING_RGBA = 8     /* Packed R, G, B, A. */
};

/* "yuv420p" for SHMRING_YUV420P, and so on; "unknown" for what is none. Never NULL. */
const char *shmring_format_name(uint32_t format);

/* The type of a tensor's elements: 256 x DLPack's type code + bits. */
enum shmring_dtype {
    SHMRING_I8 = 8,
    SHMRING_I16 = 16,
    SHMRING_I32 = 32,
    SHMRING_I64 = 64,
    SHMRING_U8 = 264,
    SHMRING_U16 = 272,
    SHMRING_U32 = 288,
    SHMRING_F16 = 528,
    SHMRING_F32 = 544,
    SHMRING_F64 = 576,
    SHMRING_BF16 = 1040,
    SHMRING_BOOL = 1544 /* One byte, 0 or 1. */
};

/* "f32" for SHMRING_F32, and so on; "unknown" for what is none. Never NULL. */
const char *shmring_dtype_name(uint32_t dtype);

enum shmring_codec {
    SHMRING_H264 = 1, /* H.264 and H.265: Annex B, parameter sets before each key frame. */
    SHMRING_H265 = 2,
    SHMRING_AV1 = 3, /* Low-overhead OBUs without temporal delimiters. */
    SHMRING_MJPEG = 4,
    SHMRING_VP8 = 5,
    SHMRING_VP9 = 6,
    SHMRING_MPEG4 = 7,
    SHMRING_AAC = 32, /* Raw; extradata is the AudioSpecificConfig. */
    SHMRING_OPUS = 33,
    SHMRING_PCM_MULAW = 34,
    SHMRING_PCM_ALAW = 35,
    SHMRING_PCM_S16LE = 36, /* 16 bits, low byte first, all channels by turns. */
    SHMRING_G722 = 37       /* Four bits a sample, mostly of 16 kHz. */
};

/* Bits of `flags`. They are this library's own, not those of the byte map. */
enum shmring_flag {
    SHMRING_KEY = 1,           /* Decoding can start here. */
    SHMRING_CORRUPT = 2,       /* Decoded from damaged data. */
    SHMRING_DISCONTINUITY = 4, /* Times or content do not continue what came before. */
    SHMRING_COPIED = 8         /* The writer had to copy the picture into its slot. */
};

enum shmring_clock {
    SHMRING_CLOCK_ARRIVAL = 0, /* The host's, when the picture or sound had come. */
    SHMRING_CLOCK_CAMERA = 1   /* The camera's own. */
};

/* The identity of a picture or packet: where it entered the system. The same in every ring, record and
   recording, and unique for ever. Fixed. */
struct shmring_frame_id {
    char ring[96]; /* "" for none. */
    uint64_t epoch;
    uint64_t sequence;
};

/* ---- Attaching --------------------------------------------------------------------------------- */

/* A place among a ring's readers, with a cursor of its own. */
typedef struct shmring_reader shmring_reader;

enum shmring_policy {
    SHMRING_POLICY_DEFAULT = 0, /* Frames: what FRAMEVISOR_POLICY says. Else LATEST. */
    SHMRING_LATEST = 1,         /* Frames: the newest each time; what came between is skipped, not missed. */
    SHMRING_SEQUENTIAL = 2      /* Frames: each in turn. Packets and records always are. */
};

/* With which item to begin. */
enum shmring_start {
    SHMRING_START_DEFAULT = 0,    /* Frames: NEWEST. Packets and records: OLDEST if SEQUENTIAL, else
                                     NEWEST_KEY and NEWEST. */
    SHMRING_START_NEWEST = 1,     /* Frames: the newest there is. Others: the next one published. */
    SHMRING_START_NEWEST_KEY = 2, /* Packets: the newest key packet. */
    SHMRING_START_OLDEST = 3,     /* The oldest still there. */
    SHMRING_START_AFTER = 4       /* Behind the one of after_epoch and after_sequence. */
};

/* Timeouts and attach waits: for ever. */
#define SHMRING_FOREVER ((int64_t)-1)

/* Filled in by the program. */
struct shmring_attach_options {
    uint32_t size;
    uint32_t policy;         /* enum shmring_policy */
    const char *reader;      /* What `framevisor rings` shows. NULL: the program's name. */
    int64_t wait_ns;         /* For a ring that is not there yet. 0: a program that framevisor runs waits
                                for ever, as its ring's writer may start later; any other does not. */
    uint32_t quota;          /* Frames held at once. A place is good for two (0: two); for more the reader takes
                              * so many places more, and is refused when they are not free. */
    uint32_t max_fps;        /* Frames a second wanted. 0: all. */
    uint32_t every;          /* Frames: each so manyth; the others are skipped, not missed. 0: all. */
    uint32_t start;          /* enum shmring_start */
    uint64_t after_epoch;    /* SHMRING_START_AFTER: the item already had, as its own fields tell. */
    uint64_t after_sequence;
    uint32_t key_only;       /* Frames: 1: only those that need no other one. A decoder whose readers all say so
                                decodes nothing else. `every` is 0 then. */
    uint32_t messages;       /* 1: shmring_next tells what `framevisor send` says to this worker, too, and that it is
                                to stop; both also make the descriptor of shmring_fileno readable. From here on the
                                worker counts as ready. A program that no topology runs gets none. */
};

/* Attaches to the ring `ring` ("cam1.frames"); its last part says what it carries. `project` NULL: that
   of FRAMEVISOR_PROJECT, else the only one on this machine with such a ring. `options` NULL: all
   defaults. Sets *reader, to NULL after an error. With `messages` SHMRING_STOP, and *reader NULL, when the
   worker is told to stop before the ring is there. */
int shmring_attach(const char *project, const char *ring,
                   const struct shmring_attach_options *options, shmring_reader **reader);

/* Detaches. Items that were taken stay valid. */
void shmring_detach(shmring_reader *reader);

/* The ring and its readers as JSON: the row of `framevisor rings -o json`, with `project`, `source` (the
   ring it is made from) and `reader` (this one). NULL after an error; shmring_free() ends it. */
char *shmring_reader_json(shmring_reader *reader);

/* Such rows for all rings of a project, or with NULL of FRAMEVISOR_PROJECT, else of every project. */
char *shmring_rings_json(const char *project);

/* Ends a text that the library made. */
void shmring_free(char *text);

/* ---- Reading ----------------------------------------------------------------------------------- */

/* A frame, packet or record. */
typedef struct shmring_item shmring_item;

/* What shmring_next tells. Filled in by the library; fixed. */
struct shmring_news {
    shmring_item *item;      /* SHMRING_OK: for shmring_release(). Else NULL. */
    uint64_t epoch;          /* The writer's life being read: a number that only grows. */
    uint64_t missed;         /* SHMRING_OVERRUN: how many; 0 when unknown, a whole epoch being gone. */
    uint32_t format_changed; /* SHMRING_OK: 1 with this reader's first item, and with each of another
                                size, pixel format, colour, shape or tracks than the one before. */
    uint32_t reserved;
    uint64_t message;        /* SHMRING_MESSAGE: for shmring_reply(). */
    char *data_json;         /* SHMRING_MESSAGE: what is said, for shmring_free(). Else NULL. */
    uint32_t more_reserved[4];
    char reason[192];        /* SHMRING_EVICTED: why, for people. Else "". */
};

/* What comes next, by the reader's policy. Follows a writer through restarts, other sizes and formats,
   and through `framevisor down` and `up`, without end. SHMRING_ENDED is told once at once, then again
   after each timeout. After an error *news is empty, and the reader goes on. */
int shmring_next(shmring_reader *reader, int64_t timeout_ns, struct shmring_news *news);

/* Ends an item. A frame's lease ends here: its memory may change from now on. */
void shmring_release(shmring_item *item);

/* Answers a message with any JSON; NULL is null. */
int shmring_reply(shmring_reader *reader, uint64_t message, const char *data_json);

/* Answers that it cannot be done, and why, in one line. */
int shmring_refuse(shmring_reader *reader, uint64_t message, const char *why);

/* How a worker does. */
enum shmring_condition {
    SHMRING_FLOWING = 0,
    SHMRING_WAITING = 1,  /* An input is not there yet. */
    SHMRING_DEGRADED = 2, /* It works, but not as asked. */
    SHMRING_PARKED = 3    /* It rests, as nobody wants what it makes. */
};

/* Says how this worker does, and why (NULL: nothing to say), for `framevisor ps`. Nobody is told unless `reader`
   was attached with `messages` and a topology runs this program. */
int shmring_tell_condition(shmring_reader *reader, uint32_t condition, const char *why);

/* ---- Waiting ----------------------------------------------------------------------------------- */

/*
 * The count of items as a semaphore of this reader alone. shmring_next is what counts it down; any other
 * thread may wait meanwhile. A wait is over when shmring_next has something to tell: an item, a new epoch,
 * the end, or that the writer was lost (found out within a quarter of a second).
 */

/* SHMRING_OK when there is something, SHMRING_QUIET when the time is over; a timeout of 0 only looks. */
int shmring_wait(shmring_reader *reader, int64_t timeout_ns);

/* As shmring_wait, until an instant of CLOCK_MONOTONIC. */
int shmring_wait_until(shmring_reader *reader, uint64_t mono_ns);

/* Items published and not yet taken by this reader, or an error. */
int64_t shmring_count(shmring_reader *reader);

/* Waits for many readers: how many have something, 0 when the time is over, or an error. Sets a byte of
   `ready` for each reader, 1 for those that have something; NULL when it does not matter. */
int shmring_wait_any(shmring_reader *const *readers, uint32_t count, int64_t timeout_ns, uint8_t *ready);

/* A descriptor for poll, epoll or an event loop: readable while shmring_next has something to tell. Call
   shmring_next with timeout 0 until it gives SHMRING_QUIET, and poll again. The same one at each call; the
   library's, closed by shmring_detach. The first call in a process starts a thread that takes no signals. */
int shmring_fileno(shmring_reader *reader);

/* Makes that descriptor unreadable until something further comes. */
int shmring_clear(shmring_reader *reader);

/* The visible part of one plane: `row_bytes` bytes at data + y * linesize for each row y. Fixed. */
struct shmring_plane {
    const uint8_t *data; /* In the ring, read-only. Publishing: not looked at. */
    uint64_t offset;     /* From the slot's start. */
    uint64_t linesize;   /* Bytes from one row to the next. */
    uint32_t row_bytes;
    uint32_t rows;
};

/* A tensor, row-major: the element at an index lies at data + the sum of index * stride over its axes.
   Fixed. */
struct shmring_tensor {
    const uint8_t *data; /* In the ring, read-only, aligned for its type. Publishing: not looked at. */
    uint64_t offset;     /* From the slot's start. */
    uint64_t bytes;      /* Of all elements, without what lies between. Publishing: not looked at. */
    uint32_t dtype;      /* enum shmring_dtype */
    uint32_t axes;       /* 0 to 6; shape and strides are 0 behind them. */
    uint32_t shape[6];
    uint32_t strides[6]; /* In bytes. */
};

enum shmring_content {
    SHMRING_PICTURE = 0,
    SHMRING_TENSOR = 1
};

/* A picture or tensor. Shown by the library for an item; filled in by the program for shmring_publish. */
struct shmring_frame {
    uint32_t size;
    uint32_t flags;             /* enum shmring_flag */
    uint64_t epoch;             /* Place in its ring: the writer's life, */
    uint64_t sequence;          /* and its number in it, from 1. Publishing: not looked at. */
    struct shmring_frame_id id; /* Publishing: the packet it came from, of the writer's `source`. */
    uint32_t width;             /* A picture's visible pixels; of a tensor all of these are 0. */
    uint32_t height;
    uint32_t format; /* enum shmring_format */
    uint32_t plane_count;
    struct shmring_plane planes[4];
    struct shmring_tensor tensor; /* Of a picture all 0. */
    uint64_t slot_bytes;          /* Bytes it needs of its slot. */
    uint32_t content;             /* enum shmring_content */
    uint8_t colour_range;     /* 0 unspecified, 1 limited, 2 full. */
    uint8_t colour_matrix;    /* ISO/IEC 23091-2, as FFmpeg's AVCOL_*; 2 unspecified. */
    uint8_t colour_primaries; /* Publishing: 0 in matrix, primaries and transfer is 2. */
    uint8_t colour_transfer;
    uint32_t clock; /* enum shmring_clock: which one took the capture time. */
    uint32_t reserved;
    int64_t pts_ns;
    int64_t duration_ns;
    uint64_t capture_mono_ns; /* Publishing: 0 in both is now. */
    uint64_t capture_utc_ns;
    uint64_t ingest_mono_ns;    /* Publishing: 0 is now. */
    uint64_t decoded_mono_ns;   /* Publishing: 0 is now. */
    uint64_t published_mono_ns; /* Publishing: not looked at. */
    uint64_t gop_index;         /* Group of pictures, counted across epochs. */
    uint8_t user[64];           /* The writer's own. */
};

/* The picture or tensor of an item of a frame ring; valid until the item is released. NULL after an error. */
const struct shmring_frame *shmring_item_frame(const shmring_item *item);

/* One elementary stream of a packet ring. Fixed. */
struct shmring_track {
    uint32_t codec;         /* enum shmring_codec */
    uint32_t time_base_num; /* The source's own ticks, in seconds num / den. 0 in both is 1 ns. */
    uint32_t time_base_den;
    uint32_t width;         /* Video; else 0. */
    uint32_t height;
    uint32_t sample_rate_hz; /* Audio; else 0. */
    uint32_t channels;
    uint32_t frame_rate_num; /* Nominal pictures a second; 0 / 1 when unknown. */
    uint32_t frame_rate_den;
    uint32_t reserved[5];
    const uint8_t *extradata; /* Parameter sets as Annex B, AudioSpecificConfig, else the codec's own. */
    uint64_t extradata_bytes;
};

/* A packet: one access unit or audio frame. Shown by the library for an item, a copy of the ring's;
   filled in by the program for shmring_publish_packet. */
struct shmring_packet {
    uint32_t size;
    uint32_t flags;             /* enum shmring_flag */
    uint64_t epoch;             /* Place in its ring. Publishing: not looked at. */
    uint64_t sequence;          /* Over all tracks, from 1. */
    struct shmring_frame_id id; /* Publishing: the packet it was made from; "" for none. */
    const uint8_t *data;
    uint64_t bytes;
    uint32_t track;       /* Which stream of the ring it belongs to. */
    uint32_t track_count; /* What flows in the ring. Publishing: not looked at. */
    const struct shmring_track *tracks;
    const struct shmring_track *track_info; /* tracks[track]; NULL when its writer did not say. */
    int64_t pts_ns;
    int64_t dts_ns;
    int64_t duration_ns;
    uint64_t capture_mono_ns; /* Publishing: 0 in both is now. */
    uint64_t capture_utc_ns;
    uint64_t ingest_mono_ns;    /* Publishing: 0 is now. */
    uint64_t published_mono_ns; /* Publishing: not looked at. */
    uint64_t gop_index;
    uint32_t clock; /* enum shmring_clock */
    uint32_t reserved;
};

/* The packet of an item of a packet ring; valid until the item is released. NULL after an error. */
const struct shmring_packet *shmring_item_packet(const shmring_item *item);

/* A record: what happened, on which camera, at which picture. Shown by the library for an item; filled
   in by the program for shmring_emit. */
struct shmring_record {
    uint32_t size;
    uint32_t reserved;
    uint64_t epoch; /* Place in its ring. Emitting: not looked at. */
    uint64_t sequence;
    const char *json; /* All of it, as published. Emitting: not looked at. */
    const char *id;   /* Same for the begin, update and end of one thing. Emitting: NULL is a new one. */
    const char *type; /* For example "motion.begin". */
    const char *camera;    /* Emitting: NULL is the camera of `frame`, else "". */
    const char *data_json; /* Emitting: NULL is null. */
    struct shmring_frame_id frame; /* The picture it is about. */
    uint64_t time_utc_ns;          /* Capture time of that picture. Emitting: 0 is now. */
    uint64_t published_mono_ns;    /* Emitting: not looked at. */
};

/* The record of an item of an event ring; valid until the item is released. NULL after an error. */
const struct shmring_record *shmring_item_record(const shmring_item *item);

/* ---- Writing ----------------------------------------------------------------------------------- */

/* The one writer of a ring. */
typedef struct shmring_writer shmring_writer;

/* A slot to fill. */
typedef struct shmring_loan shmring_loan;

/* Filled in by the program. */
struct shmring_writer_options {
    uint32_t size;
    uint32_t readers;   /* Places for readers. 0: 8. */
    uint32_t history;   /* Frames: pictures kept beside the newest. 0: 1. */
    uint32_t loans;     /* Frames: slots the program holds at once. 0: 2. */
    const char *source; /* Frames: the packet ring they are decoded from. NULL: they are born here. */
    uint64_t max_bitrate;               /* Packets: bits a second; ten seconds of it are the ring's
                                           depth. 0: 8 000 000. */
    const struct shmring_track *tracks; /* Packets: what flows; at least one, at most 8. */
    uint32_t track_count;
    uint32_t reserved;
};

/* Takes the ring and begins a new epoch in it. `project` NULL: that of FRAMEVISOR_PROJECT, else the only
   one on this machine. `ring` NULL: the event ring of FRAMEVISOR_OUT, else ext.<program>.events.
   `options` NULL: all defaults. Sets *writer, to NULL after an error. */
int shmring_create(const char *project, const char *ring,
                   const struct shmring_writer_options *options, shmring_writer **writer);

/* Says that nothing follows: readers get SHMRING_ENDED once they have read all. */
int shmring_finish(shmring_writer *writer);

/* Lets go of the ring. Without shmring_finish it is left as a crash would leave it: its readers wait for
   a successor. Loans keep the ring until they are ended. */
void shmring_close(shmring_writer *writer);

/* Fills in where everything lies, and slot_bytes. A picture, for its width, height and format: plane_count
   and planes, one behind the other, rows beginning at multiples of 64 bytes. A tensor, for its dtype, axes
   and shape: strides, one element behind the other. */
int shmring_layout(struct shmring_frame *frame);

/* Takes a slot of at least `slot_bytes` to fill. Sets *loan, to NULL after an error. */
int shmring_borrow(shmring_writer *writer, uint64_t slot_bytes, shmring_loan **loan);

/* The slot's memory, page aligned, and with `bytes` its length. NULL after an error. */
uint8_t *shmring_loan_data(shmring_loan *loan, uint64_t *bytes);

/* Shows the slot to readers, as the picture or tensor described, and ends the loan, after an error too. Sets
   *sequence unless that is NULL. */
int shmring_publish(shmring_loan *loan, const struct shmring_frame *frame, uint64_t *sequence);

/* Ends a loan without showing it. */
void shmring_return(shmring_loan *loan);

/* Appends a packet. The struct of another ring's item will do. */
int shmring_publish_packet(shmring_writer *writer, const struct shmring_packet *packet,
                           uint64_t *sequence);

/* Describes the stream anew; readers are told with the next packet. */
int shmring_set_tracks(shmring_writer *writer, const struct shmring_track *tracks, uint32_t count);

/* Appends a record. */
int shmring_emit(shmring_writer *writer, const struct shmring_record *record, uint64_t *sequence);

#ifdef __cplusplus
}
#endif

#endif
