"""Small packages, made here: no test of fetching needs a network."""

import base64
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile


def wheel(folder, files, name="tiny_clips", version="1.0"):
    """A wheel that pip accepts."""
    info = f"{name}-{version}.dist-info"
    content = dict(files)
    content[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: <3\n".encode()
    )
    content[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rows = [
        f"{k},sha256={base64.urlsafe_b64encode(hashlib.sha256(v).digest()).decode()},{len(v)}"
        for k, v in content.items()
    ]
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in content.items():
            archive.writestr(member, data)
    return path


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def deb(path, files, compress=lzma.compress, suffix="xz"):
    """An ar archive as .deb files are; control.tar has an odd length, so that the padding is met."""
    control = gzip.compress(tar({"control": b"Package: tiny\n"}), mtime=0)
    control += b"\0" * (1 - len(control) % 2)
    members = (("debian-binary", b"2.0\n"), ("control.tar.gz", control), (f"data.tar.{suffix}", compress(tar(files))))
    content = b"!<arch>\n"
    for name, data in members:
        content += (
            f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
        )
    path.write_bytes(content)
    return path
