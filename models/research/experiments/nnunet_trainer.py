"""nnU-Net's trainer, stopped by the clock. Runs in nnU-Net's own environment."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn


class WithinTime(nnUNetTrainer):
    """Steps as its authors made them, as many as fit into `COMPARISON_SECONDS` of CPU time, on one thread.

    The learning rate falls as theirs, (1 - t) ** 0.9, with t the share of the time instead of the epochs. With
    `COMPARISON_PRECISION` bf16-mixed the network runs under autocast, which its authors leave out on a CPU, in training
    and prediction; in training only if the gradients of the first batch agree with those of float32 to
    `COMPARISON_AGREEMENT`. Leaves `steps.json` beside the checkpoint.
    """

    # The names of the arguments are kept in the checkpoint, from which the prediction calls this again.
    def __init__(
        self, plans: dict[str, Any], configuration: str, fold: int, dataset_json: dict[str, Any], device: torch.device
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        torch.set_num_threads(1)

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """Theirs; training and prediction both come here for the network."""
        network = nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
        if os.environ["COMPARISON_PRECISION"] == "bf16-mixed":
            set_mixed(network, True)
        return network

    def run_training(self) -> None:
        """Without the online validation, which nothing is chosen by: the last weights are kept, as its default is."""
        self.on_train_start()
        self.network.train()
        agreement = self.agreement() if os.environ["COMPARISON_PRECISION"] == "bf16-mixed" else 0.0
        mixed = agreement >= float(os.environ["COMPARISON_AGREEMENT"])
        set_mixed(self.network, mixed)
        limit, losses = float(os.environ["COMPARISON_SECONDS"]), []
        began = time.process_time()
        while (gone := time.process_time() - began) < limit:
            for group in self.optimizer.param_groups:
                group["lr"] = self.initial_lr * (1 - gone / limit) ** 0.9
            losses.append(float(self.train_step(next(self.dataloader_train))["loss"]))
            self.print_to_log_file(f"step {len(losses)}  loss {losses[-1]:.4f}  {time.process_time() - began:.1f} s")
        facts = {
            "steps": len(losses),
            "seconds": time.process_time() - began,
            "agreement": agreement,
            "precision": "bf16-mixed" if mixed else "32-true",
            "million_weights": sum(weights.numel() for weights in self.network.parameters()) / 1e6,
        }
        (Path(self.output_folder) / "steps.json").write_text(json.dumps(facts), "utf-8")
        self.on_train_end()

    def agreement(self) -> float:
        """Lowest cosine, over all weights of more than one dimension, of bfloat16 and float32 gradients on a batch."""
        batch, found = next(self.dataloader_train), []
        for mixed in (False, True):
            self.network.zero_grad()
            set_mixed(self.network, mixed)
            self.loss(self.network(batch["data"]), batch["target"]).backward()
            used = [weight for weight in self.network.parameters() if weight.dim() > 1 and weight.grad is not None]
            found.append([weight.grad.flatten().clone() for weight in used])
        return min(float(torch.cosine_similarity(a, b, dim=0)) for a, b in zip(*found, strict=True))

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """None: fold `all` would be validated on its training cases."""


def set_mixed(network: nn.Module, mixed: bool) -> None:
    """Let the network run under bfloat16 autocast, its outputs in float32, or as it is."""
    plain = type(network).forward

    def forward(patch: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            heads = plain(network, patch)
        return [head.float() for head in heads] if isinstance(heads, list) else heads.float()

    network.forward = forward
