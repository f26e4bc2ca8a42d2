"""A .deb, by dpkg-deb alone: there are no sources to build, so debhelper would have nothing to do."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from description import HOMEPAGE, MAINTAINER, REPOSITORY, Package
from tree import copy, moved, oldest_libc

PLACES: dict[str, str] = {}
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def build(package: Package, version: str, root: Path, target: Path) -> Path:
    """The package's file in `target`, of the tree in `root`, to which its control files are added."""
    copy(REPOSITORY / "packaging/debian/lintian-overrides", root / "usr/share/lintian/overrides" / package.name)
    for folder in (root / "usr/share/lintian", root / "usr/share/lintian/overrides"):
        folder.chmod(0o755)
    control = root / "DEBIAN"
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]
    libc = oldest_libc(root)
    control.mkdir(mode=0o755)
    (control / "control").write_text(_control(package, version, files, libc))
    (control / "conffiles").write_text("".join(f"{path}\n" for path in moved(_targets(package), PLACES)))
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files)  # noqa: S324
    (control / "md5sums").write_text("".join(sums))
    for script in SCRIPTS:
        source = REPOSITORY / "packaging/debian" / f"{package.name}.{script}"
        if source.exists():
            (control / script).write_bytes(source.read_bytes())
            (control / script).chmod(0o755)
    for name in ("control", "conffiles", "md5sums"):
        (control / name).chmod(0o644)
    file = target / f"{package.name}_{version}_{architecture()}.deb"
    packed = ["--root-owner-group", "-Zxz", "-z2", "--threads-max=1", "--build", str(root), str(file)]
    subprocess.run(["dpkg-deb", *packed], check=True, stdout=subprocess.DEVNULL)
    return file


def architecture() -> str:
    return subprocess.run(
        ["dpkg", "--print-architecture"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def _targets(package: Package) -> dict[str, object]:
    return {target.format(name=package.name): None for target in package.config.values()}


def _control(package: Package, version: str, files: list[Path], libc: str) -> str:
    kib = sum((path.stat().st_size + 1023) // 1024 for path in files)
    depends = ", ".join(filter(None, (f"libc6 (>= {libc})", package.deb.get("Depends"))))
    fields = {
        "Package": package.name,
        "Version": version,
        "Section": "admin",
        "Priority": "optional",
        "Architecture": architecture(),
        "Maintainer": MAINTAINER,
        "Installed-Size": str(kib),
        "Homepage": HOMEPAGE,
        **package.deb,
        "Depends": depends,
        "Description": package.summary,
    }
    lines = [f"{name}: {value}" for name, value in fields.items()]
    for number, paragraph in enumerate(package.description):
        lines += [" ."] * (number > 0) + [f" {line}" for line in wrapped(paragraph)]
    return "\n".join(lines) + "\n"


def wrapped(paragraph: str, width: int = 76) -> list[str]:
    lines = [""]
    for word in paragraph.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
