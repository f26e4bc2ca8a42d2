"""What a package installs, laid out below a folder, with the same bytes, names and modes whoever does it."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from description import REPOSITORY, Package
from licences import copyright_file, licences


def lay_out(package: Package, root: Path, places: Mapping[str, str], changelog: str) -> None:
    """Fill the empty folder `root`. `places` are prefixes of paths that this kind of package has elsewhere."""
    shutil.copytree(REPOSITORY / "dist" / package.bundle, root / "usr/lib" / package.name, symlinks=True)
    if package.name != "aurora-executor" and package.bundle == "aurorad":
        (root / "usr/lib" / package.name / "thermos").unlink()
    for source, target in {**package.files, **package.config}.items():
        copy(REPOSITORY / source, _at(root, target.format(name=package.name), places))
    for unit in package.units:
        copy(REPOSITORY / "packaging/systemd" / unit, _at(root, f"/lib/systemd/system/{unit}", places))
    for link, target in package.links.items():
        _at(root, link, places).parent.mkdir(parents=True, exist_ok=True)
        _at(root, link, places).symlink_to(Path("..") / Path(target).relative_to("/usr"))
    for folder in package.folders:
        _at(root, folder, places).mkdir(parents=True, exist_ok=True)
    for manual in package.manuals:
        text = (REPOSITORY / "dist/man" / manual).read_bytes()
        _write(_at(root, f"/usr/share/man/man{manual[-1]}/{manual}.gz", places), gzip.compress(text, 9, mtime=0))
    documents = _at(root, f"/usr/share/doc/{package.name}", places)
    _write(documents / "changelog.gz", gzip.compress(changelog.encode(), 9, mtime=0))
    _write(documents / "copyright", copyright_file().encode())
    _write(documents / "licences.gz", gzip.compress(licences().encode(), 9, mtime=0))
    _write(documents / "README", (REPOSITORY / f"packaging/packages/README.{package.name}").read_bytes())
    _normalise(root)


def _at(root: Path, path: str, places: Mapping[str, str]) -> Path:
    for prefix, elsewhere in places.items():
        if path.startswith(prefix):
            path = elsewhere + path[len(prefix) :]
    return root / path.lstrip("/")


def moved(paths: Mapping[str, object], places: Mapping[str, str]) -> list[str]:
    """Where these paths are in this kind of package."""
    return ["/" + str(_at(Path(), path, places)) for path in paths]


def copy(source: Path, target: Path) -> None:
    """A file, or all of a folder; with modes that do not depend on who builds."""
    if source.is_dir():
        for inner in sorted(source.rglob("*")):
            if inner.is_file() and "__pycache__" not in inner.parts:
                _write(target / inner.relative_to(source), inner.read_bytes())
        return
    _write(target, source.read_bytes(), source.stat().st_mode & 0o111 != 0)


def _write(path: Path, data: bytes, runs: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755 if runs else 0o644)


def _normalise(root: Path) -> None:
    """Modes do not depend on who builds: what may be started, may be by everybody; libraries are only read."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            continue
        if path.is_dir():
            path.chmod(0o755)
        elif re.search(r"\.so(\.|$)", path.name) or path.stat().st_mode & 0o111 == 0:
            path.chmod(0o644)
        else:
            path.chmod(0o755)
    root.chmod(0o755)


def oldest_libc(root: Path) -> str:
    """The version of glibc that something in there needs: the newest symbol that is used."""
    found = {(2, 0)}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF":
            told = subprocess.run(["objdump", "-T", path], capture_output=True, text=True, check=True).stdout
            found |= {(int(a), int(b)) for a, b in re.findall(r"GLIBC_(\d+)\.(\d+)", told)}
    return ".".join(map(str, max(found)))
