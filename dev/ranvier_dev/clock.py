"""The wall clock as Kubernetes writes it; read here and nowhere else in this package."""

from datetime import UTC, datetime, timedelta


def timestamp(in_seconds: float = 0) -> str:
    """RFC 3339, whole seconds."""
    now = datetime.now(UTC)  # noqa: TID251 - this is the shell's clock
    moment = now + timedelta(seconds=in_seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
