"""What the operator of an API server can set: flags, with environment variables as defaults."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

OFF: Final = "off"
STDERR: Final = "stderr"


class IdentitySource(StrEnum):
    """Who vouches for operator and brokers."""

    KUBERNETES = "kubernetes"
    STATIC = "static"


class DevboxHome(StrEnum):
    """Where devboxes run, and so where pokes go."""

    KUBERNETES = "kubernetes"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Settings:
    data: Path
    journal: str | None
    host: str
    port: int
    metrics_port: int | None
    identities: IdentitySource
    api_keys_file: Path | None
    static_identities_file: Path | None
    operator_subject: str
    devboxes: DevboxHome
    watch_namespaces: tuple[str, ...]
    devbox_namespace: str
    default_image: str
    replica_address: str
    poke_delay_seconds: float
    log_level: str
    audit_log: str | None
    """`stderr` or a file's path."""


def parse(argv: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from flags; a wrong flag ends the process with a usage message."""
    given = _parser(environment).parse_args(argv)
    return Settings(
        data=given.data,
        journal=given.journal,
        host=given.host,
        port=given.port,
        metrics_port=given.metrics_port,
        identities=IdentitySource(given.identities),
        api_keys_file=given.api_keys_file,
        static_identities_file=given.static_identities_file,
        operator_subject=given.operator_subject,
        devboxes=_devbox_home(given.devboxes, IdentitySource(given.identities)),
        watch_namespaces=tuple(_words(given.watch_namespaces)),
        devbox_namespace=given.devbox_namespace,
        default_image=given.default_image,
        replica_address=given.replica_address,
        poke_delay_seconds=given.poke_delay_ms / 1000,
        log_level=given.log_level,
        audit_log=None if given.audit_log == OFF else given.audit_log,
    )


def _devbox_home(given: str, identities: IdentitySource) -> DevboxHome:
    """Where Kubernetes vouches for brokers it also runs them, unless told otherwise."""
    if given:
        return DevboxHome(given)
    is_cluster = identities is IdentitySource.KUBERNETES
    return DevboxHome.KUBERNETES if is_cluster else DevboxHome.NONE


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ranvier-apiserver",
        description="Holds the journal of all axons; serves Runloop's axon and devbox API.",
        epilog="Every flag has an environment variable: --api-keys-file is RANVIER_API_KEYS_FILE.",
    )

    def add(flag: str, default: str | None, text: str, **more: object) -> None:
        variable = "RANVIER_" + flag.removeprefix("--").upper().replace("-", "_")
        value = environment.get(variable, default)
        parser.add_argument(flag, default=value, help=text, **more)  # type: ignore[arg-type]

    add("--data", "./data", "folder of the journal (default: ./data)", type=Path)
    add(
        "--journal",
        None,
        "postgresql://… keeps the journal on a PostgreSQL server instead of the folder --data",
        type=_journal_url,
    )
    add("--host", "::", "address to listen on (default: all, IPv6 and IPv4)")
    add("--port", "8080", "port to listen on; 0 takes a free one (default: 8080)", type=int)
    add("--metrics-port", None, "port of /metrics, without a key (default: none)", type=int)
    add(
        "--identities",
        "kubernetes",
        "who vouches for operator and brokers (default: kubernetes)",
        choices=[source.value for source in IdentitySource],
    )
    add("--api-keys-file", None, "API keys: one a line, then optional scopes", type=Path)
    add("--static-identities-file", None, "tokens for --identities static (JSON)", type=Path)
    add(
        "--operator-subject",
        "system:serviceaccount:ranvier-system:ranvier-operator",
        "user name of the operator's ServiceAccount",
    )
    add(
        "--devboxes",
        "",
        "where devboxes run (default: kubernetes with --identities kubernetes, else none)",
        choices=["", *(home.value for home in DevboxHome)],
    )
    add("--watch-namespaces", "", "namespaces whose devboxes are seen (default: every one)")
    add(
        "--devbox-namespace",
        "default",
        "namespace of devboxes, blueprints and secrets made through the API (default: default)",
    )
    add("--default-image", "", "image of devboxes made without a blueprint (default: refused)")
    add("--replica-address", "", "where other replicas on the same --journal reach this one")
    add("--poke-delay-ms", "0", "for fault tests: wait between commit and poke", type=float)
    add("--log-level", "info", "debug, info, warning or error (default: info)")
    add("--audit-log", OFF, "a line for each write: off, stderr, or a file (default: off)")
    return parser


def _journal_url(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        # The text itself may hold a password, so it is not repeated.
        raise argparse.ArgumentTypeError("must be a URL that begins with postgresql://")
    return text
