/*
 * shmring for C++17: the calls of shmring.h with owners. Nothing else: the structs are the same, and what
 * holds for a handle holds for its owner. An error is a shmring::Error; what happens on a normal day is
 * the status of a Next.
 */
#ifndef SHMRING_HPP
#define SHMRING_HPP

#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "shmring.h"

namespace shmring {

/* What a call refused, with its code and text. */
class Error : public std::runtime_error {
public:
    explicit Error(int status) : std::runtime_error(shmring_last_error()), status_(status) {}
    Error(int status, const std::string &text) : std::runtime_error(text), status_(status) {}

    /* SHMRING_E_..., or SHMRING_STOP of a worker that was told to stop before its ring was there */
    int status() const noexcept { return status_; }

private:
    int status_;
};

/* A status as it is, or its error thrown. */
inline int checked(int status) {
    if (status < 0) {
        throw Error(status);
    }
    return status;
}

/* A pointer as it is, or the error that NULL stands for thrown. */
template <typename T>
T *checked(T *pointer) {
    if (pointer == nullptr) {
        throw Error(shmring_last_status());
    }
    return pointer;
}

/* A struct that a program fills in, with its size and all defaults. */
template <typename T>
T filled_in() {
    T value;
    SHMRING_INIT(&value);
    return value;
}

inline shmring_attach_options attach_options() { return filled_in<shmring_attach_options>(); }
inline shmring_writer_options writer_options() { return filled_in<shmring_writer_options>(); }

using Timeout = std::chrono::nanoseconds;

/* Waits for ever. */
inline constexpr Timeout forever{SHMRING_FOREVER};

namespace detail {

template <auto End>
struct Ender {
    template <typename T>
    void operator()(T *handle) const noexcept {
        End(handle);
    }
};

template <typename T, auto End>
using Owner = std::unique_ptr<T, Ender<End>>;

inline const char *c_str(const std::string &text) { return text.empty() ? nullptr : text.c_str(); }

inline std::string taken(char *text) {
    const Owner<char, shmring_free> owner(checked(text));
    return owner.get();
}

} // namespace detail

/* A frame, packet or record. The structs it shows are valid as long as it. */
class Item {
public:
    explicit Item(shmring_item *item = nullptr) : handle_(item) {}

    explicit operator bool() const noexcept { return handle_ != nullptr; }
    shmring_item *get() const noexcept { return handle_.get(); }

    /* Each throws for an item of another kind. */
    const shmring_frame &frame() const {
        return *checked(shmring_item_frame(get()));
    }
    const shmring_packet &packet() const {
        return *checked(shmring_item_packet(get()));
    }
    const shmring_record &record() const {
        return *checked(shmring_item_record(get()));
    }

    /* Ends it before its time. */
    void release() noexcept { handle_.reset(); }

private:
    detail::Owner<shmring_item, shmring_release> handle_;
};

/* What a reader was told. */
struct Next {
    int status = SHMRING_QUIET; /* enum shmring_status, never an error */
    Item item;                  /* with SHMRING_OK */
    std::uint64_t epoch = 0;
    std::uint64_t missed = 0;
    bool format_changed = false;
    std::string reason; /* with SHMRING_EVICTED */
    std::uint64_t message = 0; /* with SHMRING_MESSAGE, for reply() */
    std::string data_json;     /* with SHMRING_MESSAGE */

    /* Whether there is an item. */
    explicit operator bool() const noexcept { return static_cast<bool>(item); }
};

/* A place among a ring's readers. */
class Reader {
public:
    explicit Reader(const std::string &ring, const shmring_attach_options &options = attach_options(),
                    const std::string &project = {}) {
        shmring_reader *reader = nullptr;
        checked(shmring_attach(detail::c_str(project), ring.c_str(), &options, &reader));
        if (reader == nullptr) {
            throw Error(SHMRING_STOP, "told to stop before ring " + ring + " was there");
        }
        handle_.reset(reader);
    }

    shmring_reader *get() const noexcept { return handle_.get(); }

    Next next(Timeout timeout) {
        shmring_news news;
        Next next;
        next.status = checked(shmring_next(get(), timeout.count(), &news));
        next.item = Item(news.item);
        next.epoch = news.epoch;
        next.missed = news.missed;
        next.format_changed = news.format_changed != 0;
        next.reason = news.reason;
        next.message = news.message;
        if (news.data_json != nullptr) {
            next.data_json = detail::taken(news.data_json);
        }
        return next;
    }

    /* Answers a message, with JSON. */
    void reply(std::uint64_t message, const std::string &data_json) const {
        checked(shmring_reply(get(), message, data_json.c_str()));
    }

    /* Answers that it cannot be done. */
    void refuse(std::uint64_t message, const std::string &why) const {
        checked(shmring_refuse(get(), message, why.c_str()));
    }

    /* Says how this worker does: enum shmring_condition. */
    void tell_condition(std::uint32_t condition, const std::string &why = {}) const {
        checked(shmring_tell_condition(get(), condition, why.c_str()));
    }

    /* Items published and not yet taken. */
    std::uint64_t count() const {
        const std::int64_t count = shmring_count(get());
        if (count < 0) {
            throw Error(static_cast<int>(count));
        }
        return static_cast<std::uint64_t>(count);
    }

    /* Whether next() has something to tell; waits so long for it. From any thread. */
    bool wait(Timeout timeout) const {
        return checked(shmring_wait(get(), timeout.count())) == SHMRING_OK;
    }

    /* For poll: readable while next() has something to tell. */
    int fileno() const { return checked(shmring_fileno(get())); }

    std::string json() const { return detail::taken(shmring_reader_json(get())); }

private:
    detail::Owner<shmring_reader, shmring_detach> handle_;
};

/* All rings of a project, or of every one, as JSON. */
inline std::string rings_json(const std::string &project = {}) {
    return detail::taken(shmring_rings_json(detail::c_str(project)));
}

/* A slot to fill; given back unless published. */
class Loan {
public:
    explicit Loan(shmring_loan *loan = nullptr) : handle_(loan) {}

    std::uint8_t *data() const { return checked(shmring_loan_data(handle_.get(), nullptr)); }

    std::uint64_t bytes() const {
        std::uint64_t bytes = 0;
        checked(shmring_loan_data(handle_.get(), &bytes));
        return bytes;
    }

    /* Shows it to readers; the loan is over then, after an error too. Gives its number. */
    std::uint64_t publish(const shmring_frame &frame) {
        std::uint64_t sequence = 0;
        checked(shmring_publish(handle_.release(), &frame, &sequence));
        return sequence;
    }

private:
    detail::Owner<shmring_loan, shmring_return> handle_;
};

/* A picture of this size and format, laid out. */
inline shmring_frame picture(std::uint32_t width, std::uint32_t height, std::uint32_t format) {
    auto frame = filled_in<shmring_frame>();
    frame.width = width;
    frame.height = height;
    frame.format = format;
    checked(shmring_layout(&frame));
    return frame;
}

/* A record of this type; its texts must live until it is emitted. */
inline shmring_record record(const char *type, const char *data_json) {
    auto record = filled_in<shmring_record>();
    record.type = type;
    record.data_json = data_json;
    return record;
}

/* The one writer of a ring. */
class Writer {
public:
    /* Without a ring: this program's own for events. */
    explicit Writer(const std::string &ring = {}, const shmring_writer_options &options = writer_options(),
                    const std::string &project = {}) {
        shmring_writer *writer = nullptr;
        checked(shmring_create(detail::c_str(project), detail::c_str(ring), &options, &writer));
        handle_.reset(writer);
    }

    shmring_writer *get() const noexcept { return handle_.get(); }

    Loan borrow(std::uint64_t slot_bytes) {
        shmring_loan *loan = nullptr;
        checked(shmring_borrow(get(), slot_bytes, &loan));
        return Loan(loan);
    }

    std::uint64_t publish(const shmring_packet &packet) {
        std::uint64_t sequence = 0;
        checked(shmring_publish_packet(get(), &packet, &sequence));
        return sequence;
    }

    std::uint64_t emit(const shmring_record &record) {
        std::uint64_t sequence = 0;
        checked(shmring_emit(get(), &record, &sequence));
        return sequence;
    }

    /* Says that nothing follows. */
    void finish() { checked(shmring_finish(get())); }

private:
    detail::Owner<shmring_writer, shmring_close> handle_;
};

} // namespace shmring

#endif
