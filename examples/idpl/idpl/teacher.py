"""The teacher: a running mean of the student's weights, whose labels are steadier than its own."""

import copy

import torch
from torch import nn


def make_teacher(student: nn.Module) -> nn.Module:
    """Return a copy that is never trained and never drops out."""
    teacher = copy.deepcopy(student).eval()
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher


def follow(teacher: nn.Module, student: nn.Module, keep: float) -> None:
    """Move the teacher toward the student: `keep` of itself stays."""
    theirs = student.state_dict()
    with torch.no_grad():
        for name, own in teacher.state_dict().items():
            if own.is_floating_point():
                own.mul_(keep).add_(theirs[name], alpha=1 - keep)
            else:
                own.copy_(theirs[name])
