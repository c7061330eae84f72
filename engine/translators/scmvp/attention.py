"""How scMVP weighs hidden units: a mask on the genes' branch, self-attention on the peaks' (formulas 10–12).

The paper leaves the tokens of the self-attention open. A cell is one vector of 128 numbers: taken as one token, the
softmax is over one entry and says nothing; taken as one of the batch's tokens, a cell would depend on its batch-mates.
Here the 16 features of a head are its 16 tokens, each a number: the only reading in which a head's attention is both
free to vary and a cell's own. d_k is then the paper's 16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskAttention(nn.Module):
    """Hidden units times a mask in (0, 1) read from the layer's first hidden units.

    The paper does not say how the mask is bounded; a sigmoid lets it open units independently  # ours
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mask = nn.Linear(width, width)

    def forward(self, hidden_bh: Tensor, first_bh: Tensor) -> Tensor:
        return hidden_bh * torch.sigmoid(self.mask(first_bh))


class SelfAttention(nn.Module):
    """softmax(q kᵀ / √d) v of each head, heads joined and mixed; shape (b, width) in and out."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        whole = heads * width
        self.query, self.key, self.value = (nn.Linear(whole, whole, bias=False) for _ in range(3))
        self.mix = nn.Linear(whole, whole, bias=False)

    def forward(self, hidden_bh: Tensor) -> Tensor:
        q, k, v = (layer(hidden_bh).view(-1, self.heads, self.width) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(q[..., :, None] * k[..., None, :] * self.width**-0.5, dim=-1)
        attended: Tensor = self.mix(torch.einsum("bhij,bhj->bhi", weights, v).flatten(1))
        return attended
