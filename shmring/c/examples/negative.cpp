/*
 * Publishes the negative of each picture of a ring, under the identity of the original:
 *
 *   negative RING NEGATIVE_RING [PROJECT]
 *
 *   c++ -std=c++17 negative.cpp -o negative $(PKG_CONFIG_PATH=$(scripts/c-path) pkg-config --cflags --libs shmring)
 */
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>

#include <shmring.hpp>

using namespace std::chrono_literals;

static volatile std::sig_atomic_t stopped = 0;

static void invert(const shmring_plane &from, const shmring_plane &to, std::uint8_t *slot)
{
    for (std::uint32_t y = 0; y < from.rows; y++) {
        const std::uint8_t *in = from.data + y * from.linesize;
        std::uint8_t *out = slot + to.offset + y * to.linesize;
        for (std::uint32_t x = 0; x < from.row_bytes; x++) {
            out[x] = static_cast<std::uint8_t>(255 - in[x]);
        }
    }
}

static void publish_negative(shmring::Writer &writer, const shmring_frame &original)
{
    shmring_frame negative = original; // its times, flags and identity
    shmring::checked(shmring_layout(&negative));
    shmring::Loan loan = writer.borrow(negative.slot_bytes);
    for (std::uint32_t plane = 0; plane < original.plane_count; plane++) {
        invert(original.planes[plane], negative.planes[plane], loan.data());
    }
    loan.publish(negative);
}

static shmring::Writer writer_beside(const shmring_frame &first, const std::string &ring,
                                     const std::string &project)
{
    auto options = shmring::writer_options();
    options.source = first.id.ring;
    return shmring::Writer(ring, options, project);
}

static void run(const std::string &ring, const std::string &negative_ring, const std::string &project)
{
    auto options = shmring::attach_options();
    options.policy = SHMRING_SEQUENTIAL;
    options.wait_ns = SHMRING_FOREVER;
    shmring::Reader reader(ring, options, project);
    std::optional<shmring::Writer> writer;
    while (!stopped) {
        const shmring::Next next = reader.next(100ms); // a signal does not end a wait
        if (next.status == SHMRING_ENDED && writer) {
            writer->finish();
            return;
        }
        if (!next) {
            continue;
        }
        const shmring_frame &frame = next.item.frame();
        if (frame.content != SHMRING_PICTURE) {
            continue;
        }
        if (next.format_changed) {
            std::cerr << "negative: pictures are " << frame.width << 'x' << frame.height << ' '
                      << shmring_format_name(frame.format) << '\n';
        }
        if (!writer) {
            writer = writer_beside(frame, negative_ring, project);
        }
        publish_negative(*writer, frame);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        std::cerr << "usage: negative RING NEGATIVE_RING [PROJECT]\n";
        return 2;
    }
    std::signal(SIGINT, [](int) { stopped = 1; });
    std::signal(SIGTERM, [](int) { stopped = 1; });
    try {
        run(argv[1], argv[2], argc > 3 ? argv[3] : "");
    } catch (const shmring::Error &error) {
        std::cerr << "negative: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
