"""How this machine reaches its package registries, handed to image builds without leaving a trace
in the images.

pip's configuration and a private CA bundle go in as build secrets, proxies as Docker's predefined
build arguments: neither ends up in a layer, and neither stands in any file of the repository.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

# The settings of pip that say where packages come from. The rest is this machine's taste.
_PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
_CA_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY")
CA_SECRET = "ca-bundle.pem"
PIP_SECRET = "pip.conf"


def build_options(folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Options for `docker build`; the secrets' files are written to `folder`."""
    settings = pip_settings(environment)
    bundle = _ca_bundle(settings.get("cert"), environment)
    options = []
    if bundle is not None:
        options += ["--secret", f"id={CA_SECRET},src={bundle}"]
    text = pip_conf(settings, has_bundle=bundle is not None)
    if text:
        path = folder / PIP_SECRET
        path.touch(mode=0o600)
        path.write_text(text)
        options += ["--secret", f"id={PIP_SECRET},src={path}"]
    for name in _PROXY_VARIABLES:
        for variable in (name, name.lower()):
            if environment.get(variable):
                # By name only: Docker takes the value from its environment, where no process list
                # shows it.
                options += ["--build-arg", variable]
    return options


def pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """pip's settings as pip itself would see them: files of the machine, of the user, then PIP_*
    variables."""
    home = Path(environment.get("HOME") or Path.home())
    files = [
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf",
        Path(environment.get("PIP_CONFIG_FILE") or "/dev/null"),
    ]
    parser = configparser.RawConfigParser()
    parser.read([path for path in files if path.is_file()])
    settings = {
        key: value
        for section in ("global", "install")
        if parser.has_section(section)
        for key, value in parser.items(section)
    }
    prefix = "PIP_"
    settings |= {
        name.removeprefix(prefix).lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith(prefix) and value
    }
    return settings


def pip_conf(settings: Mapping[str, str], *, has_bundle: bool) -> str:
    """The configuration file for a pip inside a build; empty when pip's defaults do."""
    lines = [f"{key} = {settings[key]}" for key in _PIP_KEYS if key in settings]
    if has_bundle:
        lines.append(f"cert = /run/secrets/{CA_SECRET}")
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def _ca_bundle(pip_cert: str | None, environment: Mapping[str, str]) -> Path | None:
    """A CA bundle this machine was told to use, in the order in which pip would look."""
    candidates = [pip_cert, *(environment.get(variable) for variable in _CA_VARIABLES)]
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)
