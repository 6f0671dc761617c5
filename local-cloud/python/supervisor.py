"""Runs the emulators for as long as standard input stays open.

The parent holds the other end of the pipe and never writes to it. However the parent ends, by returning, by a panic or by
SIGKILL, the pipe closes and everything that was started here is killed. Signals from a terminal are left to the parent.

    python supervisor.py RUN_FOLDER MINISTACK_PORT MOTO_PORT
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ACCOUNT = "111122223333"


def environment(run: Path) -> dict[str, str]:
    """A clean environment: ministack hands its own on to the functions, so the developer's AWS settings and proxies stay out."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(run),
        "TMPDIR": str(run / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def ministack(port: int, run: Path) -> dict[str, str]:
    return {
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        # Every call needs its IAM permission; a function has those of its own role, test/test is the root user.
        "AUTH": "true",
        # These two would listen on all interfaces.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # Without this it removes containers of other ministacks that it finds in Docker.
        "DOCKER_HOST": f"unix://{run}/no-docker.sock",
    }


def start(name: str, command: list[str], variables: dict[str, str], run: Path) -> subprocess.Popen[bytes]:
    with (run / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=run,
            env=environment(run) | variables,
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the emulator and what it started: the function processes are in its group, also when it is itself gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:  # macOS says so when only zombies are left in the group
        pass
    process.wait()


def main() -> int:
    run, ports = Path(sys.argv[1]), [int(port) for port in sys.argv[2:4]]
    (run / "tmp").mkdir(parents=True, exist_ok=True)
    # A handler and not SIG_IGN, which the emulators would inherit.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        here = Path(__file__).parent
        command = [sys.executable, str(here / "ministack_extensions.py")]
        running["ministack"] = start("ministack", command, ministack(ports[0], run), run)
        command = [sys.executable, str(here / "aws_extensions.py"), str(ports[1])]
        running["moto"] = start("moto", command, {"LOCAL_CLOUD_ACCOUNT": ACCOUNT}, run)
        while True:
            if select.select([sys.stdin], [], [], 0.2)[0] and not os.read(sys.stdin.fileno(), 1024):
                return 0
            for name, process in running.items():
                if (status := process.poll()) is not None:
                    last = (run / f"{name}.log").read_text(errors="replace").splitlines()[-15:]
                    print(f"{name} ended with status {status}. Its last lines:", *last, sep="\n", file=sys.stderr)
                    return 1
    finally:
        for process in running.values():
            kill(process)
        shutil.rmtree(run / "tmp", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
