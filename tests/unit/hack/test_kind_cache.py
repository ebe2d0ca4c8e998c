"""A cached result is found again by its content, and an unfinished one is never taken for it."""

from pathlib import Path

import pytest
from kind.cache import content_key, published, tree_key
from kind.go_programs import go_mod, program_path, staging_modules
from kind.places import Places
from kind.recipe import NODE_PROGRAMS, TOOLS, GoProgram

PLACES = Places(Path("/cache"), Path("/cache/state"))
PROGRAM = GoProgram("etcd", "example.org/etcd", "v3.6.8")


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    assert content_key("ab", "c") != content_key("a", "bc")
    assert content_key("ab", "c") == content_key("ab", b"c")


def test_a_tree_has_another_key_once_a_name_a_byte_or_a_mode_changes(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    file = folder / "entrypoint"
    file.write_text("one")
    keys = [tree_key(folder)]
    file.write_text("two")
    keys.append(tree_key(folder))
    file.chmod(0o755)
    keys.append(tree_key(folder))
    file.rename(folder / "start")
    keys.append(tree_key(folder))
    assert len(set(keys)) == 4


def test_byte_code_does_not_change_the_key_of_a_tree(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1")
    before = tree_key(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.pyc").write_bytes(b"x")
    assert tree_key(tmp_path) == before


def test_a_result_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "programs" / "etcd"
    with published(target) as temporary:
        temporary.write_text("program")
        assert not target.exists()
    assert target.read_text() == "program"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_leaves_nothing(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    def build() -> None:
        with published(tmp_path / "etcd") as temporary:
            temporary.mkdir()
            (temporary / "half").write_text("")
            raise interruption

    with pytest.raises(interruption):
        build()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "other",
    [
        GoProgram("etcd", "example.org/etcd", "v3.6.9"),
        GoProgram("etcd", "example.org/etcd", "v3.6.8", "cmd/etcd"),
        GoProgram("etcd", "example.org/etcd", "v3.6.8", tags="seccomp"),
        GoProgram("etcd", "example.org/etcd", "v3.6.8", linker="-s"),
        GoProgram("etcd", "example.org/etcd", "v3.6.8", cgo=True),
        GoProgram("etcd", "example.org/etcd", "v3.6.8", staging="v0.1.0"),
        GoProgram("etcd", "example.org/etcd", "v3.6.8", edition=2),
    ],
)
def test_a_program_is_built_anew_when_anything_of_its_recipe_changes(other: GoProgram) -> None:
    assert program_path(PLACES, other) != program_path(PLACES, PROGRAM)


def test_a_tool_and_a_node_program_of_the_same_recipe_are_one_build() -> None:
    assert program_path(PLACES, TOOLS["kubectl"]) == program_path(PLACES, NODE_PROGRAMS["kubectl"])


def test_modules_replaced_by_folders_are_asked_for_by_version() -> None:
    published_go_mod = """module k8s.io/kubernetes
require (
\tgithub.com/spf13/cobra v1.10.0
\tk8s.io/api v0.0.0
)
replace (
\tk8s.io/api => ./staging/src/k8s.io/api
\tk8s.io/sample => ./staging/src/k8s.io/sample
\tgithub.com/a/b => github.com/c/b v1.0.0
)
"""
    staging = staging_modules(published_go_mod)
    assert staging == {"k8s.io/api": True, "k8s.io/sample": False}
    text = go_mod(GoProgram("kubectl", "k8s.io/kubernetes", "v1.36.3", staging="v0.36.3"), staging)
    assert "require k8s.io/kubernetes v1.36.3\n" in text
    assert "require k8s.io/api v0.36.3\n" in text
    assert "require k8s.io/sample" not in text
    assert "replace k8s.io/sample => k8s.io/sample v0.36.3\n" in text
