"""Golden check of the weight rules."""

import torch

from tests.golden.folder import Folder, golden_weight


def check_weight_rules(folder: Folder) -> None:
    """Check the first values and the sum of some weights."""
    stored = folder.json("weight_rule_check.json")
    for check in stored["checks"]:
        weight = golden_weight(check["key"], torch.Size(check["shape"]), check["rule"], stored["salt"])
        name = f"rule {check['rule']} {check['key']}"
        folder.close(name, weight.flatten()[:4], torch.tensor(check["first4"]), 1e-7)
        total = weight.double().sum().item()
        folder.record(f"{name}: sum", abs(total - check["sum"]), 1e-4 * max(1.0, abs(check["sum"])))


CHECKS = [check_weight_rules]
