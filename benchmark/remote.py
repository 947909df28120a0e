"""A model behind HTTP, in an environment or on a machine of its own; `serve.py` is the other end."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from benchmark.device import Precision
from benchmark.model import ContractError
from benchmark.schema import SchemaError, decode
from benchmark.wire import BrokenStreamError, ModelCard, RolloutRequest, encode_request, read_records
from loopcraft.cli import UserError

_LARGEST_CARD = 1 << 16
"""Bytes that are read of a server's description or error message."""


class HttpModel:
    """A `RolloutModel` whose rollouts are done by the server at `url`."""

    def __init__(self, url: str, timeout_s: float = 600.0) -> None:
        """`timeout_s` is how long the server may be silent. Raises `UserError` where none answers."""
        self._url, self._timeout_s = url.rstrip("/"), timeout_s
        # No proxy: the model's server is asked directly, whatever the environment says.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with self._ask("/model") as response:
            text = response.read(_LARGEST_CARD)
        try:
            card = decode(ModelCard, json.loads(text))
        except (SchemaError, ValueError) as error:
            raise UserError(f"{url}: not a model server of this protocol ({error})") from error
        self.name, self.frame_shape, self.max_context = card.name, card.frame_shape, card.max_context
        self.role, self.checkpoint_sha256 = card.role, card.checkpoint_sha256
        self._precision = card.precision

    def precision_on(self, device: torch.device) -> Precision | None:
        """What the model computes in where it is served, whatever the device here."""
        return self._precision

    def rollout(
        self,
        context: UInt8[Tensor, "B C 3 H W"],
        actions: Int64[Tensor, "B C+horizon"],
        *,
        seeds: Sequence[int],
    ) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
        """Ask the server, and pass its chunks on as they come."""
        request = RolloutRequest(context=context, actions=actions, seeds=seeds)
        with self._ask("/rollout", encode_request(request)) as response:
            try:
                yield from read_records(response.read, request.horizon_shape)
            except (BrokenStreamError, HTTPException, OSError) as error:
                raise UserError(
                    f"{self._url}: the rollout broke off ({error}); see the server's log"
                ) from error

    def _ask(self, path: str, body: bytes | None = None) -> HTTPResponse:
        request = urllib.request.Request(self._url + path, data=body)
        try:
            response: HTTPResponse = self._opener.open(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            raise ContractError(f"{self._url}{path} refused: {_reason(error)}") from error
        except (HTTPException, OSError, ValueError) as error:
            raise UserError(
                f"{self._url}: no model server answers ({error}); start one with python -m benchmark.serve"
            ) from error
        return response


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        answer: Any = json.loads(error.read(_LARGEST_CARD))
        return str(answer["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"
