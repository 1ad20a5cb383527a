"""The wheel: what is in it, and that it works in an environment that has nothing else of ours."""

import base64
import csv
import hashlib
import importlib.util
import io
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import zipfile

from ringtest import SOON, RingTest, gray

ROOT = pathlib.Path(__file__).resolve().parents[3]


def build(folder):
    command = [ROOT / "scripts" / "wheel"]
    environment = os.environ | {"WHEEL_DIR": str(folder), "PYTHON": sys.executable}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return pathlib.Path(answer.stdout.strip())


class Wheel(RingTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.wheel = build(cls.folder)

    def test_the_same_sources_make_the_same_bytes(self):
        first = self.wheel.read_bytes()
        self.assertEqual(build(self.folder / "again").read_bytes(), first)

    def test_its_record_lists_every_file_with_its_hash(self):
        self.assertRegex(self.wheel.name, r"^shmring-\d+\.\d+\.\d+-cp311-abi3-linux_\w+\.whl$")
        with zipfile.ZipFile(self.wheel) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        record = next(name for name in files if name.endswith(".dist-info/RECORD"))
        rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(files[record].decode()))}
        self.assertEqual(set(rows), set(files))
        self.assertEqual(rows.pop(record), ["", ""])
        for name, (digest, size) in rows.items():
            hashed = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).decode().rstrip("=")
            self.assertEqual((digest, int(size)), (f"sha256={hashed}", len(files[name])))
        self.assertLessEqual({"shmring/__init__.py", "shmring/__init__.pyi", "shmring/py.typed"}, set(files))

    @unittest.skipUnless(importlib.util.find_spec("ensurepip"), "skipped: no python3-venv")
    def test_installed_into_an_empty_environment_the_readmes_program_runs_as_it_stands(self):
        python = self.install()
        said = self.run_in(python, "import shmring; print(shmring.__file__, shmring.__version__)")
        self.assertIn(str(self.folder), said)
        self.assertIn(f" {self.wheel.name.split('-')[1]}", said)
        self.read_me(python)

    def install(self):
        venv = self.folder / "venv"
        # numpy is the system's.
        subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", venv], check=True)
        python = venv / "bin" / "python"
        pip = [python, "-m", "pip", "--quiet", "install", "--no-index", "--no-deps", self.wheel]
        subprocess.run(pip, env=clean(), check=True)
        return python

    def run_in(self, python, program):
        return subprocess.run(
            [python, "-c", program], env=clean(), stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def read_me(self, python):
        (program,) = re.findall(r"^ *```python\n(.*?)^ *```$", (ROOT / "README.md").read_text(), re.S | re.M)
        writer = self.paint()
        environment = clean() | {"FRAMEVISOR_PROJECT": self.project, "PYTHONUNBUFFERED": "1"}
        child = subprocess.Popen(
            [python, "-c", textwrap.dedent(program)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A program started in the background of a shell ignores Ctrl-C unless it says otherwise.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        late = threading.Timer(3 * SOON, child.kill)
        late.start()
        for number in range(1, 4):
            writer.put(gray(number))
            self.assertEqual(child.stdout.readline(), f"{number} {float(number)}\n")
        child.send_signal(signal.SIGINT)
        _, text = child.communicate()
        late.cancel()
        self.assertIn("KeyboardInterrupt", text)


def clean():
    """The environment without the way to the module the other tests import."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


if __name__ == "__main__":
    unittest.main()
