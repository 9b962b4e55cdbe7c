"""Keys and values of running requests, in slots of one preallocated block.

transformers' own caches either concatenate (copying everything at every step) or write all rows at one common position;
here every row has its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

MOST_SLOTS = {"cpu": 16, "cuda": 64}
LENGTH_STEP = 256
SPACIOUS = 4
CPU_BUDGET_BYTES = 4 * 1024**3


class SlotCache:
    """Per layer a block (slots × key/value heads × length × head size) for keys and one for values.

    The length follows the longest request; the number of slots follows from it and from a memory budget.
    """

    def __init__(self, config: Any, device: torch.device, dtype: torch.dtype) -> None:
        heads = config.num_attention_heads
        self.layers = config.num_hidden_layers
        self.heads = getattr(config, "num_key_value_heads", None) or heads
        self.head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.device, self.dtype = device, dtype
        self.token_bytes = 2 * self.layers * self.heads * self.head_size * dtype.itemsize
        self.budget = _memory_budget(device)
        self.length = 0
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def slots_for(self, tokens: int) -> int:
        """How many slots of that many tokens the budget allows."""
        rounded = max(self.length, _rounded(tokens))
        return int(min(MOST_SLOTS.get(self.device.type, 16), self.budget // (rounded * self.token_bytes)))

    def ensure_length(self, tokens: int, occupied: int) -> bool:
        """Make every slot at least `tokens` long, keeping the first `occupied`; whether the block was made anew.

        Slots that one long request made much longer than is needed now are given back once nothing runs.
        """
        length = _rounded(tokens)
        if not occupied and self.length > SPACIOUS * max(length, 2 * LENGTH_STEP):
            self.clear()
        if length <= self.length:
            return False
        slots = self.slots_for(tokens)
        shared = min(length, self.length)
        self.length = length
        unmade: list[torch.Tensor | None] = [None] * self.layers
        self.keys = [self._renewed(block, slots, occupied, shared) for block in self.keys or unmade]
        self.values = [self._renewed(block, slots, occupied, shared) for block in self.values or unmade]
        return True

    def clear(self) -> None:
        """Give the memory back."""
        self.length, self.keys, self.values = 0, [], []

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` of a slot into another."""
        for block in (*self.keys, *self.values):
            block[target, :, :tokens] = block[source, :, :tokens]

    def view(self, first_slot: int, positions: torch.Tensor, length: int) -> SlotView:
        """The slots from `first_slot` on as a model's cache for one forward pass that writes at `positions` (rows ×
        tokens)."""
        return SlotView(self, first_slot, positions, length)

    def _renewed(self, block: torch.Tensor | None, slots: int, occupied: int, shared: int) -> torch.Tensor:
        renewed = self._zeros((slots, self.heads, self.length, self.head_size))
        if block is not None and occupied:
            renewed[:occupied, :, :shared] = block[:occupied, :, :shared]
        return renewed

    def _zeros(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Zeros, so that what a mask hides is finite. On the CPU from numpy, whose zeros cost no memory until
        written."""
        if self.device.type == "cpu" and self.dtype == torch.float32:
            return torch.from_numpy(np.zeros(shape, dtype=np.float32))
        return torch.zeros(shape, device=self.device, dtype=self.dtype)


class SlotView:
    """What a model of transformers asks of a cache during one forward pass, and nothing more."""

    is_compileable = False

    def __init__(self, cache: SlotCache, first_slot: int, positions: torch.Tensor, length: int) -> None:
        self.cache = cache
        self.length = length
        self.slots = slice(first_slot, first_slot + positions.shape[0])
        self.rows = torch.arange(first_slot, self.slots.stop, device=positions.device)[:, None]
        self.positions = positions
        self.is_sliding = [False] * cache.layers

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new keys and values (rows × heads × tokens × size); all of the slots up to the view's length."""
        found = []
        for block, new in ((self.cache.keys[layer_idx], keys), (self.cache.values[layer_idx], values)):
            block[self.rows, :, self.positions] = new.transpose(1, 2)
            found.append(block[self.slots, :, : self.length])
        return found[0], found[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.length - self.positions.shape[1]


def _rounded(tokens: int) -> int:
    return -(-tokens // LENGTH_STEP) * LENGTH_STEP


def _memory_budget(device: torch.device) -> int:
    """Bytes for keys and values: half of what is free on a GPU; a quarter of the memory, at most 4 GB, on a CPU."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free // 2
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        memory = min(memory, int(text))
    return min(memory // 4, CPU_BUDGET_BYTES)
