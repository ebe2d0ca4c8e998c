"""What is not as before is named, line by line; what is not ours is never touched."""

from dataclasses import replace
from pathlib import Path

import pytest
from kind.errors import Failure
from kind.machine import Snapshot, differences
from kind.places import Places
from kind.runtime_wrapper import spec_file, without_capability

BEFORE = Snapshot(
    boot="b",
    settings={"net/ipv4/ip_forward": "0"},
    interfaces=["eth0", "lo"],
    cgroups=["/sys/fs/cgroup/memory/other"],
    mounts=["/"],
    firewalls={"iptables": "*filter\n:FORWARD ACCEPT [1:1]\nCOMMIT\n"},
    nft_tables=[],
)


def test_an_unchanged_machine_shows_no_difference() -> None:
    after = replace(BEFORE, firewalls={"iptables": "*filter\n:FORWARD ACCEPT [7:7]\nCOMMIT\n"})
    assert differences(BEFORE, after) == []


def test_every_trace_is_named() -> None:
    after = Snapshot(
        boot="b",
        settings={"net/ipv4/ip_forward": "1"},
        interfaces=["docker0", "eth0", "lo"],
        cgroups=[],
        mounts=["/", "/cache/docker/overlay2"],
        firewalls={"iptables": "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"},
        nft_tables=["table ip nat"],
    )
    assert differences(BEFORE, after) == [
        "interfaces: docker0 is new",
        "cgroups: /sys/fs/cgroup/memory/other is gone",
        "mounts: /cache/docker/overlay2 is new",
        "nft_tables: table ip nat is new",
        "settings: net/ipv4/ip_forward was 0, is 1",
        "firewall: the rules of iptables differ",
    ]


def test_two_states_have_control_groups_of_their_own() -> None:
    one, other = (Places(Path("/c"), Path(f"/c/{name}")).cgroup_parent for name in ("a", "b"))
    assert one != other


def test_the_cache_and_the_state_come_from_the_environment() -> None:
    assert Places.from_environment({"HOME": "/home/me"}) == Places(
        Path("/home/me/.cache/ranvier"), Path("/home/me/.cache/ranvier/state")
    )
    chosen = Places.from_environment({"RANVIER_CACHE": "/big/disk", "RANVIER_STATE": "/run/r"})
    assert chosen == Places(Path("/big/disk"), Path("/run/r"))


def test_a_state_folder_too_deep_for_a_socket_is_refused_with_the_way_out() -> None:
    with pytest.raises(Failure, match="RANVIER_STATE"):
        Places.from_environment({"RANVIER_STATE": "/" + "deep/" * 30})


def test_the_runtime_wrapper_takes_out_one_capability_and_nothing_else() -> None:
    process = {
        "args": ["sh"],
        "capabilities": {"bounding": ["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"], "ambient": []},
        "oomScoreAdj": -500,
    }
    assert without_capability(process) == {
        "args": ["sh"],
        "capabilities": {"bounding": ["CAP_SYS_ADMIN"], "ambient": []},
        "oomScoreAdj": 0,
    }
    assert without_capability({"args": ["sh"]}) == {"args": ["sh"]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--root", "/r", "create", "--bundle", "/b", "id"], ("/b/config.json", True)),
        (["run", "-b", "/b", "id"], ("/b/config.json", True)),
        (["create", "--bundle=/b", "id"], ("/b/config.json", True)),
        (["exec", "--process", "/p", "--detach", "id"], ("/p", False)),
        (["exec", "--process=/p", "id"], ("/p", False)),
        (["state", "id"], None),
        (["--version"], None),
    ],
)
def test_the_runtime_wrapper_finds_the_spec_it_has_to_edit(
    arguments: list[str], expected: tuple[str, bool] | None
) -> None:
    assert spec_file(arguments) == expected
