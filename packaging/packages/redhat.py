"""A .rpm, by rpmbuild out of the laid out tree, with a spec file that lists it."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from debian import wrapped
from description import HOMEPAGE, MAINTAINER, REPOSITORY, Package
from tree import moved, oldest_libc

PLACES = {
    "/etc/default/thermos": "/etc/sysconfig/thermos-observer",
    "/etc/default/": "/etc/sysconfig/",
    "/lib/systemd/system/": "/usr/lib/systemd/system/",
    "/usr/share/zsh/vendor-completions/": "/usr/share/zsh/site-functions/",
}
SCRIPTS = ("pre", "post", "preun", "postun")
# Nothing of the machine that builds: not its name, not its clock, not what it would do to files; and nothing is looked
# for in the bundle, which brings what it needs along.
MACROS = {
    "_buildhost": "localhost",
    "_build_id_links": "none",
    "_binary_payload": "w12.zstdio",
    "__os_install_post": "%{nil}",
    "debug_package": "%{nil}",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
}

# Folders that others may have, too: the last one that has them removes them.
SHARED = (
    *("etc/aurora", "usr/share/aurora", "usr/share/aurora/bin", "usr/share/bash-completion"),
    *("usr/share/bash-completion/completions", "usr/share/zsh", "usr/share/zsh/site-functions"),
    *("usr/share/fish", "usr/share/fish/vendor_completions.d"),
)


def build(package: Package, version: str, root: Path, target: Path) -> Path:
    """The package's file in `target`, of the tree in `root`, which is left as it is."""
    machine = os.uname().machine
    name = f"{package.name}-{rpm_version(version)}-1.{machine}.rpm"
    with tempfile.TemporaryDirectory() as work:
        spec = Path(work, f"{package.name}.spec")
        spec.write_text("\n".join(_spec(package, version, root)) + "\n")
        macros = {**MACROS, "_topdir": work, "_rpmdir": str(target), "_build_name_fmt": name}
        defines = [word for key, value in macros.items() for word in ("--define", f"{key} {value}")]
        command = ["rpmbuild", "-bb", "--quiet", "--target", machine, *defines, "--buildroot", str(root), str(spec)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(f"rpmbuild of {package.name}: {ended.stdout}{ended.stderr}")
    return target / name


def rpm_version(version: str) -> str:
    """`-` is not allowed there; `~` means the same in both."""
    return version.replace("-", "+")


def _spec(package: Package, version: str, root: Path) -> list[str]:
    config = set(moved({target.format(name=package.name): None for target in package.config.values()}, PLACES))
    when = time.strftime("%a %b %d %Y", time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"])))
    lines = [
        f"Name: {package.name}",
        f"Version: {rpm_version(version)}",
        "Release: 1",
        f"Summary: {package.summary[0].upper()}{package.summary[1:]}",
        "License: Apache-2.0",
        f"URL: {HOMEPAGE}",
        "AutoReqProv: no",
        f"Requires: glibc >= {oldest_libc(root)}",
        *package.rpm,
        "%description",
        *"\n\n".join("\n".join(wrapped(one)) for one in package.description).splitlines(),
    ]
    for script in SCRIPTS:
        source = REPOSITORY / "packaging/rpm" / f"{package.name}.{script}"
        if source.exists():
            lines += [f"%{script}", source.read_text().replace("%", "%%")]
    lines += ["%files", "%defattr(-,root,root,-)"]
    lines += [f"%dir %attr({mode:o},{owner},{owner}) {path}" for path, (owner, mode) in package.folders.items()]
    lines += [_line(path, root, package, config) for path in sorted(root.rglob("*")) if _is_ours(path, root, package)]
    return [*lines, "%changelog", f"* {when} {MAINTAINER} - {rpm_version(version)}-1", f"- Version {version}."]


def _is_ours(path: Path, root: Path, package: Package) -> bool:
    """Files; and of folders those that nobody else has."""
    if path.is_symlink() or not path.is_dir():
        return True
    inner = str(path.relative_to(root))
    return inner.startswith((f"usr/lib/{package.name}", f"usr/share/doc/{package.name}")) or inner in SHARED


def _line(path: Path, root: Path, package: Package, config: set[str]) -> str:
    name = "/" + str(path.relative_to(root))
    if path.is_dir() and not path.is_symlink():
        return f'%dir %attr(0755,root,root) "{name}"'
    if name in config:
        return f'%config(noreplace) %attr(0644,root,root) "{name}"'
    return f'%doc "{name}"' if name.startswith("/usr/share/doc/") else f'"{name}"'
