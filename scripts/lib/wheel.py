"""Packs the built module and its Python files as a wheel: wheel.py LIBRARY VERSION FOLDER

The format is the "Binary distribution format" of the packaging specifications. What is said of the
project comes from shmring/python/pyproject.toml. Nothing in the file depends on when, where or by whom
it is made."""

import base64
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "shmring" / "python"
# The oldest time a zip can tell.
EPOCH = (1980, 1, 1, 0, 0, 0)
LICENCES = ["LICENSE-APACHE", "LICENSE-MIT"]


def main(library, version, folder):
    with open(PACKAGE / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    tag = f"cp311-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
    stem = f"{project['name']}-{version}"
    info = f"{stem}.dist-info"
    files = {f"shmring/{path.name}": path.read_bytes() for path in sources()}
    files["shmring/_native.abi3.so"] = stripped(library)
    files |= {f"{info}/{name}": (ROOT / name).read_bytes() for name in LICENCES}
    files[f"{info}/METADATA"] = metadata(project, version).encode()
    files[f"{info}/WHEEL"] = wheel(tag).encode()
    wheel_path = pathlib.Path(folder) / f"{stem}-{tag}.whl"
    wheel_path.parent.mkdir(parents=True, exist_ok=True)
    # Under its name it is always whole.
    draft = wheel_path.with_suffix(f".{os.getpid()}")
    write(draft, files, f"{info}/RECORD")
    draft.replace(wheel_path)
    print(wheel_path)


def sources():
    package = PACKAGE / "shmring"
    return [*package.glob("*.py"), *package.glob("*.pyi"), package / "py.typed"]


def stripped(library):
    """The library without what only debuggers read, where binutils are installed."""
    if shutil.which("strip") is None:
        return pathlib.Path(library).read_bytes()
    with tempfile.NamedTemporaryFile() as copy:
        subprocess.run(["strip", "--strip-debug", "-o", copy.name, library], check=True)
        return pathlib.Path(copy.name).read_bytes()


def metadata(project, version):
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {project['name']}",
        f"Version: {version}",
        f"Summary: {project['description']}",
        f"License: {project['license']}",
        f"Requires-Python: {project['requires-python']}",
    ]
    for extra, requirements in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {needed}; extra == "{extra}"' for needed in requirements]
    lines += ["Description-Content-Type: text/markdown", "", (ROOT / "docs" / "python.md").read_text()]
    return "\n".join(lines)


def wheel(tag):
    return f"Wheel-Version: 1.0\nGenerator: framevisor\nRoot-Is-Purelib: false\nTag: {tag}\n"


def write(path, files, record):
    """The files by name, those of .dist-info last, as the specification recommends, RECORD at the end."""
    rows = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files, key=lambda name: (".dist-info/" in name, name)):
            add(archive, name, files[name])
            digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=")
            rows.append(f"{name},sha256={digest.decode()},{len(files[name])}\n")
        add(archive, record, "".join([*rows, f"{record},,\n"]).encode())


def add(archive, name, content):
    entry = zipfile.ZipInfo(name, EPOCH)
    mode = 0o755 if name.endswith(".so") else 0o644
    entry.external_attr = (0o100000 | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


if __name__ == "__main__":
    main(*sys.argv[1:])
