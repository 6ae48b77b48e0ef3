"""The same network behind LitServe. For `serve.py --peers`, in an environment of its own.

Pictures come in base64: LitServe hands what it is asked from process to process, pickled.
"""

from __future__ import annotations

import base64
import os
import sys

import litserve


class Photographs(litserve.LitAPI):  # type: ignore[misc]
    """Decodes, computes and words an answer in a worker process."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        from same_network import answer

        self.answer = answer

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe reads annotations
        return base64.b64decode(request["items"][0])

    def predict(self, body: bytes) -> dict[str, object]:
        return self.answer(body)

    def encode_response(self, output):  # type: ignore[no-untyped-def]
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Photographs(), accelerator="cpu", workers_per_device=len(os.sched_getaffinity(0))
    )
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="error")
