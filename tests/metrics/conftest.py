import socket

import pytest
from hypothesis import settings

settings.register_profile(
    "latentover", deadline=None, max_examples=60, derandomize=True
)  # a busy machine is no failure
settings.load_profile("latentover")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """No metric needs a network."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("a metric asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
