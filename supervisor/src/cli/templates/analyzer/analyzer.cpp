// {name}: how bright each picture is that it is given, as records.
//
// framevisor starts it. `framevisor tap {name}.events` shows what it finds, `framevisor logs {name}` what it prints, and
// `framevisor send {name} '{"threshold": 100}'` changes what is worth a record while it runs.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <shmring.hpp>

namespace {

double threshold = 0;

// Of each fourth row of the first plane. The memory is the ring's: it is read, never written.
double brightness_of(const shmring_plane &luma) {
    std::uint64_t sum = 0, count = 0;
    for (std::uint32_t y = 0; y < luma.rows; y += 4) {
        const std::uint8_t *row = luma.data + y * luma.linesize;
        for (std::uint32_t x = 0; x < luma.row_bytes; x++) {
            sum += row[x];
        }
        count += luma.row_bytes;
    }
    return count > 0 ? static_cast<double>(sum) / static_cast<double>(count) : 0;
}

void look(shmring::Writer &events, const shmring_frame &frame) {
    const double brightness = brightness_of(frame.planes[0]);
    if (brightness < threshold) {
        return;
    }
    char data[64];
    std::snprintf(data, sizeof data, "{\"brightness\":%.1f}", brightness);
    auto record = shmring::record("brightness", data);
    record.frame = frame.id; // which picture, in every ring and recording
    record.time_utc_ns = frame.capture_utc_ns;
    events.emit(record);
}

// {"threshold": NUMBER}; a library for JSON reads more than that.
void answer(const shmring::Reader &reader, const shmring::Next &said) {
    const std::string key = "\"threshold\":";
    const auto found = said.data_json.find(key);
    const char *number = found != std::string::npos ? said.data_json.c_str() + found + key.size() : "";
    char *end = nullptr;
    const double wanted = std::strtod(number, &end);
    if (end == number) {
        reader.refuse(said.message, "expected {\"threshold\": NUMBER}");
        return;
    }
    threshold = wanted;
    char data[64];
    std::snprintf(data, sizeof data, "{\"threshold\":%g}", threshold);
    reader.reply(said.message, data);
}

} // namespace

int main() {
    const char *ring = std::getenv("FRAMEVISOR_IN"); // and how often, the topology says
    if (ring == nullptr) {
        std::fprintf(stderr, "{name}: FRAMEVISOR_IN names no ring: `framevisor up` starts this program\n");
        return 2;
    }
    try {
        auto options = shmring::attach_options();
        options.messages = 1;
        shmring::Reader reader(ring, options);
        shmring::Writer events;
        // A writer that restarts is followed.
        for (;;) {
            const auto next = reader.next(shmring::forever);
            if (next.status == SHMRING_STOP) {
                events.finish();
                return 0;
            }
            if (next.status == SHMRING_MESSAGE) {
                answer(reader, next);
            } else if (next) {
                look(events, next.item.frame());
            }
        }
    } catch (const shmring::Error &error) {
        std::fprintf(stderr, "{name}: %s\n", error.what());
        return error.status() == SHMRING_STOP ? 0 : 1;
    }
}
