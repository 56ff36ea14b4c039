"""Mistakes with the data folder, and the command line's messages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from support.rest import Rest, answer
from support.server import Server, clean_environment

pytestmark = pytest.mark.embedded_database

NOBODY = 65534


def refused(binary: Path, *args: str, user: int | None = None) -> str:
    """Runs a command that must fail. Returns its message, which must not repeat itself."""
    done = subprocess.run(
        [str(binary), *args],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env=clean_environment(),
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    assert done.returncode == 1 and "panicked" not in done.stderr, (done.returncode, done.stderr)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    for said in ("os error", "--data-dir or", "cannot "):
        assert done.stderr.count(said) <= 1, done.stderr
    return done.stderr


def start(folder: Path, port: int = 0) -> tuple[str, ...]:
    return ("quickstart", "--data-dir", str(folder), "--listen", f"127.0.0.1:{port}")


@pytest.fixture
def own(make_server: Callable[..., Server]) -> Server:
    """A server whose folder may be moved."""
    server = make_server("own_folder")
    server.start()
    return server


def test_second_server_on_a_folder_is_refused_and_names_the_first(own: Server) -> None:
    text = refused(own.binary, *start(own.data_dir))
    address = urlsplit(own.uri).netloc
    assert f"(process {own.pid}, at {address})" in text and "stop it first" in text
    # What only looks or administers works beside it.
    assert "demo" in own.command("namespace", "list").stdout
    own.kill()
    own.start()


def test_taken_port_is_reported_once_with_another_port(own: Server, tmp_path: Path) -> None:
    port = urlsplit(own.uri).port
    assert port is not None
    text = refused(own.binary, *start(tmp_path / "data", port))
    assert f"127.0.0.1:{port}: another program has that port" in text
    assert text.count(f":{port}") == 1 and "--listen 127.0.0.1:" in text


def test_listen_accepts_a_host_name_and_refuses_an_unknown_one(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server("named", args=("--listen", "localhost:0"), listen=None)
    printed = server.start()
    assert re.fullmatch(r"http://(127\.0\.0\.1|\[::1\]):\d+", printed.uri)
    answer(Rest(server.uri, server.key).get("/namespaces"))
    folder = ("--data-dir", str(tmp_path / "data"))
    assert "no address is known" in refused(server.binary, "serve", "--listen", "nowhere.invalid:0", *folder)


def test_moved_or_copied_folder_is_refused_until_its_old_path_links_to_it(own: Server) -> None:
    old = own.data_dir
    copy, moved = old.with_name("copy"), old.with_name("moved")
    assert own.stop() == 0
    shutil.copytree(old, copy)
    text = refused(own.binary, *start(copy))
    assert f"a copy of the quickstart in {old}" in text and "a new quickstart" in text
    old.rename(moved)
    text = refused(own.binary, *start(moved))
    assert f"was made in {old}" in text
    # What it says to do is done to the letter.
    advice = re.search(r"`(ln -s '.*?' '.*?')`", text)
    assert advice, text
    subprocess.run(advice.group(1), shell=True, check=True)
    own.data_dir = moved
    printed = own.start()
    assert Rest(own.uri, own.key).load(printed.namespace, printed.table)["metadata"]["snapshots"]


def test_server_warns_about_a_missing_warehouse_folder(own: Server, tmp_path: Path) -> None:
    assert own.stop() == 0
    (own.data_dir / "warehouse").rename(tmp_path / "elsewhere")
    command = [str(own.binary), "serve", "--data-dir", str(own.data_dir), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment()) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if " serving " in line:
                break
        process.terminate()
    assert re.search(rf'WARN .*folder is missing.*folder="{re.escape(str(own.data_dir))}/warehouse"', said), said


def test_data_dir_that_is_not_a_folder_is_refused_with_advice(binary: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        assert "is not a folder" in refused(binary, *start(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a program as somebody else")
def test_folder_of_another_user_is_refused_and_names_its_owner(binary: Path) -> None:
    # Not in the folders of the other tests, which other users cannot access.
    with tempfile.TemporaryDirectory(prefix="tidewater-users-") as root:
        Path(root).chmod(0o755)
        program, theirs, closed = (Path(root) / name for name in ("tidewater", "theirs", "closed"))
        shutil.copy(binary, program)
        theirs.mkdir(mode=0o755)
        text = refused(program, *start(theirs), user=NOBODY)
        assert "belongs to the user 'root', and tidewater runs as the user 'nobody'" in text and "chown -R" in text
        assert "create it for the user 'nobody'" in refused(program, *start(theirs / "new"), user=NOBODY)
        closed.mkdir(mode=0o500)
        os.chown(closed, NOBODY, NOBODY)
        assert "its mode is 500" in refused(program, *start(closed), user=NOBODY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may work in the folder of another user")
def test_root_commands_keep_the_folder_accessible_to_its_owner(binary: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tidewater-root-") as root:
        Path(root).chmod(0o755)
        program, data, lakes = (Path(root) / name for name in ("tidewater", "data", "lakes"))
        shutil.copy(binary, program)
        for folder in (data, lakes):
            folder.mkdir(mode=0o755)
        os.chown(data, NOBODY, NOBODY)

        def command(*args: str, user: int | None = None) -> subprocess.CompletedProcess:
            return subprocess.run(
                [str(program), *args, "--data-dir", str(data)],
                capture_output=True,
                check=False,
                text=True,
                timeout=60,
                env=clean_environment(),
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )

        profile = Path(root) / "s3.toml"
        profile.write_text(
            'type = "s3"\nregion = "eu-west-1"\nendpoint = "http://127.0.0.1:9"\npath-style = true\n'
            '[credentials]\nkind = "aws-key"\naccess-key-id = "AKIA"\nsecret-access-key = "hush"\n'
        )
        assert command("org", "create", "acme", "--tier", "enterprise").returncode == 0
        sealed = ("--root", "s3://bucket/lake", "--storage", str(profile), "--unchecked")
        assert command("warehouse", "create", "sealed", *sealed).returncode == 0
        made = command("warehouse", "create", "new", "--root", (lakes / "a" / "new").as_uri())
        assert made.returncode == 0, made.stderr
        owners = {path: path.stat().st_uid for path in [*data.iterdir(), lakes / "a", lakes / "a" / "new"]}
        assert set(owners.values()) == {NOBODY} and data / "master.key" in owners, owners

        # A folder that only root can write to is refused at once.
        closed = lakes / "closed"
        closed.mkdir(mode=0o755)
        told = command("warehouse", "create", "closed", "--root", closed.as_uri())
        assert told.returncode == 1 and "the user 'nobody', who owns the data folder, may not" in told.stderr
        assert "closed" not in command("warehouse", "list").stdout
        closed.chmod(0o777)
        assert command("warehouse", "create", "closed", "--root", closed.as_uri()).returncode == 0

        listed = command("warehouse", "check", "new", user=NOBODY)
        assert listed.returncode == 0, listed.stderr
        serve = [str(program), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(data)]
        with subprocess.Popen(
            serve, stderr=subprocess.PIPE, text=True, env=clean_environment(), user=NOBODY, group=NOBODY, extra_groups=[]
        ) as process:
            assert process.stderr is not None
            said = ""
            for line in process.stderr:
                said += line
                if " serving " in line:
                    break
            process.terminate()
        assert " serving " in said, said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may use the server of another user")
def test_root_commands_reach_the_running_server_of_another_user(binary: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tidewater-root-") as root:
        Path(root).chmod(0o755)
        program, data, theirs, closed = (Path(root) / name for name in ("tidewater", "data", "theirs", "closed"))
        shutil.copy(binary, program)
        for folder, owner in ((data, NOBODY), (theirs, NOBODY), (closed, 0)):
            folder.mkdir(mode=0o700)
            os.chown(folder, owner, owner)

        def command(*args: str, check: bool = True) -> subprocess.CompletedProcess:
            done = subprocess.run(
                [str(program), *args, "--data-dir", str(data)],
                capture_output=True,
                check=False,
                text=True,
                timeout=60,
                env=clean_environment(),
            )
            assert not check or done.returncode == 0, (args, done.stderr)
            return done

        serve = [str(program), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(data)]
        with subprocess.Popen(
            serve, stderr=subprocess.PIPE, text=True, env=clean_environment(), user=NOBODY, group=NOBODY, extra_groups=[]
        ) as process:
            try:
                assert process.stderr is not None
                assert any(" serving " in line for line in process.stderr)
                command("org", "create", "acme")
                command("warehouse", "create", "lake", "--root", (theirs / "lake").as_uri())
                assert (theirs / "lake").stat().st_uid == NOBODY
                refused = command("warehouse", "create", "other", "--root", (Path(root) / "new").as_uri(), check=False)
                assert refused.returncode == 1, refused.stderr
                assert "the server's user may read and write there" in refused.stderr, refused.stderr
                backup = theirs / "backup.db"
                command("backup", str(backup))
                assert (backup.stat().st_uid, backup.stat().st_mode & 0o777) == (0, 0o600)
                refused = command("backup", str(closed / "backup.db"), "--json", check=False)
                error = json.loads(refused.stderr.splitlines()[-1])["error"]
                assert (error["type"], error["code"]) == ("BadRequestException", 400), error
                assert "as the user 'nobody'" in error["message"] and not list(closed.iterdir()), error
            finally:
                process.terminate()
        assert process.returncode == 0


def test_server_without_a_reader_of_its_log_answers_and_stops_cleanly(binary: Path, tmp_path: Path) -> None:
    serve = [str(binary), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, env=clean_environment()) as process:
        assert process.stderr is not None
        try:
            serving = next(line for line in process.stderr if " serving " in line)
            process.stderr.close()
            address = re.search(r"127\.0\.0\.1:\d+", serving)
            assert address is not None, serving
            # Each of these refusals writes a line.
            for _ in range(3):
                assert requests.get(f"http://{address[0]}/v1/config", timeout=30).status_code == 401
        finally:
            process.terminate()
    assert process.returncode == 0


def test_server_counts_the_log_lines_that_nobody_read(binary: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    os.set_blocking(reader, True)
    serve = [str(binary), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(serve, stderr=writer, env=clean_environment()) as process:
        os.close(writer)
        try:
            with open(reader) as log:
                serving = next(line for line in log if " serving " in line)
            address = re.search(r"127\.0\.0\.1:\d+", serving)
            assert address is not None, serving

            def refuse() -> None:
                assert requests.get(f"http://{address[0]}/v1/config", timeout=30).status_code == 401

            # Each of these refusals writes a line: three without a reader, and one for a new reader.
            for _ in range(3):
                refuse()
            with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as log:
                os.set_blocking(log.fileno(), True)
                refuse()
                note = log.readline()
                assert "could not be written" in note and "lines=3" in note, note
                assert "lines=" not in log.readline()
        finally:
            process.terminate()
    assert process.returncode == 0
