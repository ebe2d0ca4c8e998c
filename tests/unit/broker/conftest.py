"""A fresh conversation for each test; what can be said in it stands in `broker_playbook`."""

import pytest
from broker_playbook import Play, Talk, make_play


@pytest.fixture
def talk() -> Talk:
    return Talk()


@pytest.fixture
def play() -> Play:
    return make_play()
