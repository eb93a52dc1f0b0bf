import pytest

from server import Server

# Where peers of other makers take part (rtspclientsink, Chromium, a JVM) that now and then fail by themselves on a
# loaded machine, a failed test may be tried again, alone. What Millrace promises by itself has one try.
SECOND_TRY = {"test_browser", "test_camera_page", "test_clients", "test_codecs", "test_pull", "test_push", "test_whip"}


def pytest_collection_finish(session):
    once = sorted({item.nodeid for item in session.items if item.module.__name__ not in SECOND_TRY})
    if session.config.getoption("lf") and once:
        pytest.exit(f"these have one try only: {', '.join(once)}", 1)


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
