/* Messages among the items of a ring, with the supervisor's end of the link played here: messages PROJECT */
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "expect.h"

static int supervisor;

static void tell(const char *text)
{
    EXPECT(send(supervisor, text, strlen(text), 0) == (ssize_t)strlen(text));
}

static void expect_said(const char *part)
{
    char said[4096];
    const ssize_t length = recv(supervisor, said, sizeof said - 1, 0);
    EXPECT(length > 0);
    said[length] = '\0';
    EXPECT(strstr(said, part) != NULL);
}

static void publish(shmring_writer *writer, uint8_t value)
{
    struct shmring_frame frame;
    SHMRING_INIT(&frame);
    frame.width = frame.height = 16;
    frame.format = SHMRING_GRAY8;
    EXPECT(shmring_layout(&frame) == SHMRING_OK);
    shmring_loan *loan;
    EXPECT(shmring_borrow(writer, frame.slot_bytes, &loan) == SHMRING_OK);
    memset(shmring_loan_data(loan, NULL), value, frame.slot_bytes);
    EXPECT(shmring_publish(loan, &frame, NULL) == SHMRING_OK);
}

static void by_hand(const char *project, struct shmring_attach_options *options)
{
    shmring_reader *reader;
    EXPECT(shmring_attach(project, "cam1.frames", options, &reader) == SHMRING_OK);
    EXPECT(shmring_reply(reader, 1, NULL) == SHMRING_E_ARGUMENT);
    EXPECT(strstr(shmring_last_error(), "no messages") != NULL);
    EXPECT(shmring_tell_condition(reader, SHMRING_DEGRADED, "nobody is told") == SHMRING_OK);
    shmring_detach(reader);
}

static void become_a_worker(void)
{
    int ends[2];
    char number[16];
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    supervisor = ends[0];
    snprintf(number, sizeof number, "%d", ends[1]);
    EXPECT(setenv("FRAMEVISOR_CONTROL_FD", number, 1) == 0);
}

static void a_message_is_answered(shmring_reader *reader, struct pollfd *wanted)
{
    struct shmring_news news;
    EXPECT(poll(wanted, 1, 0) == 0 && shmring_next(reader, 0, &news) == SHMRING_QUIET);
    tell("{\"event\":{\"message\":{\"id\":7,\"data\":{\"threshold\":5}}}}");
    EXPECT(poll(wanted, 1, 60000) == 1);
    EXPECT(shmring_next(reader, 60 * SECOND, &news) == SHMRING_MESSAGE);
    EXPECT(news.item == NULL && news.message == 7);
    EXPECT(strcmp(news.data_json, "{\"threshold\":5}") == 0);
    shmring_free(news.data_json);
    EXPECT(shmring_reply(reader, news.message, "{\"taken\":5}") == SHMRING_OK);
    expect_said("{\"data\":{\"taken\":5},\"to\":7}");
    EXPECT(shmring_reply(reader, 7, "taken") == SHMRING_E_BAD_RECORD);
    EXPECT(shmring_refuse(reader, 8, "no such key") == SHMRING_OK);
    expect_said("no such key");
    EXPECT(poll(wanted, 1, 0) == 0);
}

int main(int argc, char **argv)
{
    EXPECT(argc == 2);
    struct shmring_attach_options options;
    SHMRING_INIT(&options);
    options.messages = 2;
    shmring_writer *writer;
    shmring_reader *reader;
    EXPECT(shmring_create(argv[1], "cam1.frames", NULL, &writer) == SHMRING_OK);
    EXPECT(shmring_attach(argv[1], "cam1.frames", &options, &reader) == SHMRING_E_ARGUMENT);
    options.messages = 1;
    by_hand(argv[1], &options);

    become_a_worker();
    EXPECT(shmring_attach(argv[1], "cam1.frames", &options, &reader) == SHMRING_OK);
    expect_said("\"hello\"");
    expect_said("\"ready\"");
    struct pollfd wanted = {.fd = shmring_fileno(reader), .events = POLLIN};
    EXPECT(wanted.fd >= 0 && shmring_fileno(reader) == wanted.fd);
    a_message_is_answered(reader, &wanted);

    struct shmring_news news;
    publish(writer, 9);
    EXPECT(poll(&wanted, 1, 60000) == 1);
    EXPECT(shmring_next(reader, 60 * SECOND, &news) == SHMRING_OK);
    EXPECT(shmring_item_frame(news.item)->planes[0].data[0] == 9);
    shmring_release(news.item);

    EXPECT(shmring_tell_condition(reader, 9, NULL) == SHMRING_E_ARGUMENT);
    EXPECT(shmring_tell_condition(reader, SHMRING_DEGRADED, "no GPU") == SHMRING_OK);
    expect_said("no GPU");

    /* A writer that has ended holds no message up. */
    EXPECT(shmring_finish(writer) == SHMRING_OK);
    EXPECT(shmring_next(reader, 60 * SECOND, &news) == SHMRING_ENDED);
    tell("{\"event\":{\"message\":{\"id\":9,\"data\":null}}}");
    EXPECT(shmring_next(reader, 60 * SECOND, &news) == SHMRING_MESSAGE && news.message == 9);
    shmring_free(news.data_json);
    tell("{\"event\":{\"stop\":{\"grace_ms\":2000}}}");
    EXPECT(shmring_next(reader, 60 * SECOND, &news) == SHMRING_STOP);
    shmring_detach(reader);
    shmring_close(writer);
    close(supervisor);
    puts("all as expected");
    return 0;
}
