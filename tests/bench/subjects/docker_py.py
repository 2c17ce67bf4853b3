"""docker-py alone: create, start, exec_run, archives."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Sequence
from typing import Any

import docker

from tests.bench.subjects.peer import Peer
from tests.bench.subjects.serve import serve


class DockerPy(Peer):
    """Containers as the SDK gives them."""

    version = f"docker {docker.__version__}"

    def __init__(self, image: str) -> None:
        self._image = image
        self._client = docker.from_env()

    def create_and_start(self) -> Any:
        container = self._client.containers.create(
            self._image, ["sleep", "infinity"], working_dir="/workspace", network_mode="none"
        )
        container.start()
        return container

    def open(self) -> Any:
        box = self.create_and_start()
        self.run(box, ["true"])
        return box

    def drop(self, box: Any) -> None:
        box.remove(force=True, v=True)

    def run(self, box: Any, argv: Sequence[str]) -> None:
        exit_code, output = box.exec_run(list(argv))
        assert exit_code == 0, output

    def stream(self, box: Any, size: int) -> int:
        result = box.exec_run(["head", "-c", str(size), "/dev/zero"], stream=True)
        return sum(map(len, result.output))

    def write(self, box: Any, path: str, data: bytes) -> None:
        folder, _, name = path.rpartition("/")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        assert box.put_archive(folder, archive.getvalue())

    def read(self, box: Any, path: str) -> bytes:
        pieces, _ = box.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
            file = tar.extractfile(path.rpartition("/")[2])
            assert file is not None
            return file.read()

    def process(self, box: Any) -> list[str]:
        return ["docker", "exec", box.id, "true"]


if __name__ == "__main__":
    serve(DockerPy, sys.argv[1])
