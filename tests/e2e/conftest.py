import pytest

from server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for the tests of one file."""
    running = Server(tmp_path_factory.mktemp("data") / "millrace").start()
    yield running
    code = running.stop()
    assert code == 0, f"SIGTERM ended with {code}:\n{running.tail()}"
    assert "panicked" not in running.log.read_text(errors="replace"), running.tail()


@pytest.fixture
def fresh(tmp_path):
    """Starts servers of a test's own, and ends them after it."""
    started = []

    def start(*options, name="millrace", **keywords) -> Server:
        running = Server(tmp_path / name, *options, **keywords)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        if running.process and running.process.poll() is None:
            running.kill()
        assert "panicked" not in running.log.read_text(errors="replace"), running.tail()
