"""PyTorch's optimizer with the options of one of jaxnext's, in groups of parameters as its users make them."""

from typing import Any

from torch_reference import require


def part_of(name: str) -> str:
    """The part of the network, as ``jaxnext.models.parts`` calls it, that a name of the original's belongs to."""
    first, second = name.split(".")[:2]
    if first.startswith("layer"):
        return "attention" if second == "cbam" else f"stage{int(first[-1]) + 1}"
    return {"fc": "head"}.get(first, "stem")


def optimizer_of(options: Any, net: Any) -> Any:
    """An optimizer whose groups have a multiplier of the learning rate each, which ``set_rate`` reads."""
    torch, _ = require()
    kind = type(options).__module__.rpartition(".")[2]
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in net.named_parameters():
        decay = options.weight_decay if options.decay_norms or parameter.ndim > 1 else 0.0
        multiplier = (options.multipliers or {}).get(part_of(name), 1.0)
        groups.setdefault((decay, multiplier), []).append(parameter)
    given = [
        {"params": parameters, "weight_decay": decay, "multiplier": multiplier}
        for (decay, multiplier), parameters in groups.items()
    ]
    if kind == "sgd":
        made = torch.optim.SGD(given, lr=options.learning_rate, momentum=options.momentum, nesterov=options.nesterov)
    else:
        made = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](
            given, lr=options.learning_rate, betas=(options.beta1, options.beta2), eps=options.eps
        )
    set_rate(made, options.learning_rate)
    return made


def set_rate(optimizer: Any, rate: float) -> None:
    """Give each group the learning rate times its multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]
