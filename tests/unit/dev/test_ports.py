"""Ports for programs that are told theirs: free, and never one that the kernel gives away."""

import socket

from ranvier_dev.ports import BELOW_EPHEMERAL, free_port


def test_a_port_can_be_opened_and_is_none_that_a_connection_is_given() -> None:
    port = free_port()
    assert port in BELOW_EPHEMERAL
    with socket.create_server(("127.0.0.1", port)):
        assert free_port() != port
