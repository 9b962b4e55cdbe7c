"""Choosing the next token of one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from promptops.engines.jobs import Sampling

COLDEST = 1e-4
"""Below this temperature only the likeliest token is left anyway, and dividing by it would overflow."""


@dataclass
class Sampler:
    """One request's choices: its parameters and a generator of its own, so that neighbours cannot change its draws."""

    sampling: Sampling
    device: torch.device

    def __post_init__(self) -> None:
        self.greedy = self.sampling.temperature < COLDEST or self.sampling.top_k == 1
        # On the CPU on every device: a draw then depends on the seed and the probabilities alone.
        self.generator = torch.Generator()
        if self.sampling.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(self.sampling.seed)

    def next_token(self, logits: torch.Tensor) -> int:
        """The next token for these logits (vocabulary, fp32): temperature, then top-k, then top-p (Holtzman 2020)."""
        if self.greedy:
            return int(logits.argmax())
        probabilities = torch.softmax(logits.cpu() / self.sampling.temperature, dim=-1)
        ids: torch.Tensor | None = None
        if self.sampling.top_k:
            probabilities, ids = probabilities.topk(min(self.sampling.top_k, len(probabilities)))
        if self.sampling.top_p < 1:
            probabilities, order = probabilities.sort(descending=True)
            ids = order if ids is None else ids[order]
            # Kept is every token before which less than top_p has gathered, so always the first.
            before = probabilities.cumsum(0) / probabilities.sum() - probabilities / probabilities.sum()
            probabilities = probabilities[before < self.sampling.top_p]
        choice = int(torch.multinomial(probabilities, 1, generator=self.generator))
        return choice if ids is None else int(ids[choice])
