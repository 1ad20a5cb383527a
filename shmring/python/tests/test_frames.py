"""Pictures: views of them, and the leases that keep them."""

import hashlib
import itertools
import subprocess
import unittest

import numpy
import shmring

from ringtest import HEIGHT, SOON, WIDTH, RingTest, gray


class Views(RingTest):
    def test_an_array_lies_in_the_rings_mapping(self):
        array = self.one(gray(7)).numpy()
        address = array.__array_interface__["data"][0]
        with open("/proc/self/maps") as maps:
            mine = [line.split() for line in maps if f"/dev/shm/fv.{self.project}.cam1.frames.e" in line]
        spans = [[int(end, 16) for end in line[0].split("-")] for line in mine if line[5].endswith(".g1")]
        self.assertTrue(any(low <= address and address + array.nbytes <= high for low, high in spans))
        self.assertTrue(all(line[1] == "r--s" for line in mine), "pictures are mapped read-only")

    def test_an_array_cannot_be_written(self):
        frame = self.one(gray(7))
        for array in [frame.numpy(), *map(numpy.asarray, frame.planes)]:
            with self.assertRaises(ValueError):
                array[0, 0] = 1
            with self.assertRaises(ValueError):
                array.setflags(write=True)
        with self.assertRaises(TypeError):
            memoryview(frame.planes[0])[0, 0] = 1
        with self.assertRaises((TypeError, BufferError)), open("/dev/zero", "rb") as zeros:
            zeros.readinto(frame.planes[0])

    def test_planes_are_strided_views_of_the_visible_part(self):
        sizes = {
            "yuv420p": [(50, 100), (25, 50), (25, 50)],
            "yuv422p": [(50, 100), (50, 50), (50, 50)],
            "yuv444p": [(50, 100)] * 3,
            "nv12": [(50, 100), (25, 100)],
            "gray8": [(50, 100)],
            "rgb24": [(50, 300)],
            "bgr24": [(50, 300)],
            "rgba": [(50, 400)],
        }
        for format, shapes in sizes.items():
            with self.subTest(format):
                planes = [numpy.arange(w * h, dtype=numpy.uint32).astype(numpy.uint8) for h, w in shapes]
                ring = f"{format}.frames"
                writer = self.paint(format, ring=ring)
                with self.attach(ring) as attached:
                    writer.put(b"".join(plane.tobytes() for plane in planes))
                    frame = attached.next(timeout=SOON)
                self.assertEqual([plane.shape for plane in frame.planes], shapes)
                for plane, made in zip(frame.planes, planes):
                    self.assertEqual(memoryview(plane).tobytes(), made.tobytes())
                    self.assertTrue((numpy.asarray(plane) == made.reshape(plane.shape)).all())
                self.assertEqual((frame.width, frame.height, frame.format), (WIDTH, HEIGHT, format))

    def test_a_packed_picture_has_its_channels_last(self):
        picture = numpy.arange(HEIGHT * WIDTH * 3, dtype=numpy.uint32).astype(numpy.uint8)
        array = self.one(picture.tobytes(), format="bgr24").numpy()
        self.assertEqual(array.shape, (HEIGHT, WIDTH, 3))
        self.assertTrue((array == picture.reshape(array.shape)).all())

    def test_padded_rows_are_refused_to_who_needs_them_together(self):
        plane = self.one(gray(7)).planes[0]
        self.assertFalse(memoryview(plane).c_contiguous)
        with self.assertRaises(BufferError):
            hashlib.sha256(plane)
        tight = self.one(bytes(64 * 4), "cam2.frames", size=(64, 4)).planes[0]
        self.assertEqual(hashlib.sha256(tight).digest(), hashlib.sha256(bytes(64 * 4)).digest())

    def test_a_hundred_arrays_equal_what_ffmpeg_decodes(self):
        size = (320, 192)
        clip = ["-f", "lavfi", "-i", f"testsrc2=size={size[0]}x{size[1]}:rate=25", "-frames:v", "100"]
        coded = ffmpeg(*clip, "-c:v", "mpeg4", "-q:v", "3", "-f", "matroska", "-")
        decoded = ffmpeg("-i", "-", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-", input=coded)
        bytes_each = size[0] * size[1] * 3 // 2
        pictures = [decoded[at : at + bytes_each] for at in range(0, len(decoded), bytes_each)]
        self.assertEqual(len(pictures), 100)
        writer = self.paint("yuv420p", size)
        ring = self.attach()
        for picture in pictures:
            writer.put(picture)
            seen = hashlib.sha256()
            with ring.next(timeout=SOON) as frame:
                for plane in frame.planes:
                    seen.update(numpy.asarray(plane).tobytes())
            self.assertEqual(seen.digest(), hashlib.sha256(picture).digest())

    def test_rgb_equals_ffmpegs(self):
        size = (320, 240)
        source = ["-f", "lavfi", "-i", f"testsrc2=size={size[0]}x{size[1]}", "-frames:v", "1"]
        matrices, ranges = [("bt709", 1), ("bt601", 6)], [("tv", 1), ("pc", 2)]
        formats = ["yuv420p", "yuv422p", "yuv444p", "nv12"]
        for format, (matrix, matrix_code), (range, range_code) in itertools.product(formats, matrices, ranges):
            with self.subTest(format=format, matrix=matrix, range=range):
                picture = ffmpeg(*source, "-f", "rawvideo", "-pix_fmt", format, "-")
                # Chroma repeated, not smoothed: what `rgb` promises.
                scale = f"scale=in_color_matrix={matrix}:in_range={range}:out_range=pc"
                scale += ":flags=neighbor+accurate_rnd+full_chroma_int"
                raw = ["-f", "rawvideo", "-pix_fmt", format, "-s", f"{size[0]}x{size[1]}", "-i", "-"]
                theirs = ffmpeg(*raw, "-vf", scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-", input=picture)
                ring = f"{format}.{matrix}-{range}.frames"
                writer = self.paint(format, size, (range_code, matrix_code), ring)
                with self.attach(ring) as attached:
                    writer.put(picture)
                    ours = attached.next(timeout=SOON).rgb()
                theirs = numpy.frombuffer(theirs, numpy.uint8).reshape(ours.shape)
                self.assertLessEqual(numpy.abs(ours.astype(int) - theirs).max(), 2)
                ours[0, 0] = 1  # a copy is the program's own


class Leases(RingTest):
    def test_a_picture_does_not_change_while_its_last_view_lives(self):
        writer = self.paint()
        ring = self.attach()
        writer.put(gray(7))
        corner = ring.next(timeout=SOON).numpy()[10:20, 5:][::2]
        for number in range(200):
            writer.put(gray(number))
        self.assertTrue((corner == 7).all())
        self.assertEqual(self.leases(), 1)
        del corner
        self.assertEqual(self.leases(), 0)

    def test_a_released_frame_keeps_its_facts_and_its_views(self):
        frame = self.one(gray(7))
        view = frame.numpy()
        frame.release()
        self.assertEqual((frame.seq, self.leases()), (1, 1))
        with self.assertRaises(shmring.Closed):
            frame.numpy()
        del view
        self.assertEqual(self.leases(), 0)

    def test_a_frame_outlives_its_closed_ring(self):
        writer = self.paint()
        with self.attach() as ring:
            writer.put(gray(7))
            frame = ring.next(timeout=SOON)
        for number in range(200):
            writer.put(gray(number))
        self.assertTrue((frame.numpy() == 7).all())

    def test_holding_more_frames_than_a_reader_may_is_told(self):
        writer = self.paint()
        ring = self.attach()
        held = []
        for number in range(2):
            writer.put(gray(number))
            held.append(ring.next(timeout=SOON))
        writer.put(gray(3))
        with self.assertRaisesRegex(shmring.NoLease, "all 2 leases"):
            ring.next(timeout=SOON)
        held.pop()
        self.assertEqual(ring.next(timeout=SOON).seq, 3)

    def test_a_plain_loop_never_holds_too_many(self):
        writer = self.paint()
        ring = self.attach(policy="sequential")
        means = []
        for number in range(5):
            writer.put(gray(number))
            frame = next(ring)
            image = frame.numpy()
            means.append(int(image.mean()))
        self.assertEqual(means, [0, 1, 2, 3, 4])

    def test_when_all_places_are_taken_the_readers_are_named(self):
        self.paint()
        for number in range(4):
            self.attach(reader=f"reader{number}")
        with self.assertRaisesRegex(shmring.NoPlace, "reader0.*reader3"):
            self.attach()


def ffmpeg(*arguments, input=b""):
    command = ["ffmpeg", "-v", "error", *arguments]
    return subprocess.run(command, input=input, stdout=subprocess.PIPE, check=True).stdout


if __name__ == "__main__":
    unittest.main()
