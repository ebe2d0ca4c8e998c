"""Schema scripts: their names, and that none is missing."""

import pytest
from ranvier_apiserver.journal import migrations


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_scripts_are_numbered_without_gaps(engine: str) -> None:
    scripts = migrations.scripts(engine)
    assert [script.number for script in scripts] == list(range(1, len(scripts) + 1))
    assert scripts[0].name == "0001_journal"
    assert all(script.text for script in scripts)


@pytest.mark.parametrize("name", ["0002_two_words", "0100_x1"])
def test_a_name_is_a_number_and_words(name: str) -> None:
    assert migrations.number_of(name) == int(name[:4])


@pytest.mark.parametrize(
    "name", ["2_words", "00002_words", "0002-words", "0002_", "0002_Words", "0002_a__b", "words"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="NNNN_words"):
        migrations.number_of(name)
